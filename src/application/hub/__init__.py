"""The hub: the streams followed, and the sessions open, in this process.

stream_buffer.py  a stream as this node knows it: its head, and its newest entries in memory
frames.py    what lies between two positions, ready to send
session.py   one client: a position in each of its streams, and what to send it next
periodic.py    what happens each second
hub.py       all of these together, joined to the backplane and compared with the store
"""
