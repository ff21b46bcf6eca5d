"""The hub: the streams followed, and the sessions open, in this process.

stream_buffer.py      the newest entries of one stream in memory, and its head
frames.py             the entries between two positions, encoded once for all sessions
stream_buffers.py     all buffers: filled from the backplane, read by sessions
session.py            one client: a position in each of its streams, and what is sent next
session_request.py, session_positions.py, session_frames.py, first_command.py    parts of a session
transport.py          the connection of a session, implemented by socket adapters
hub.py                opens, closes and removes sessions
liveness.py, reconciliation.py, connected_users.py    the periodic work of the hub
policy.py             limits and timings
"""
