"""The hub: the open sessions of this process, and the buffers of the streams that they follow.

stream_buffer.py      the newest entries of one stream in memory, and its head
stream_buffers.py     the buffers of all streams: filled from the backplane, and from the store what they lack
frames.py             entries rendered as texts, shared by sessions with the same view at the same position
session.py            one client: its position in each of its streams, and the frames that it is sent
session_request.py, session_positions.py, session_frames.py, first_command.py    used by session.py
transport.py          the port for the connection of a session, implemented by socket adapters
hub.py                opens, closes and removes sessions
liveness.py, reconciliation.py, connected_users.py    the periodic work of the hub, run by periodic.py
policy.py             limits and timings
"""
