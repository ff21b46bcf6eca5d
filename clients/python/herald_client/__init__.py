"""The Python client of Herald. Clients in other languages should behave like it; docs/clients.md describes how.

    async with Listener("https://herald.example", token=token, cursor="shop.cursor") as listener:
        async for item in listener:
            match item:
                case Notification():
                    print(item.title, item.data)
                case Hello(gap=streams) if streams:
                    ...  # entries were lost: fetch the current state over HTTP

listener.py          the interface for callers: items one by one or by frame, and saving the resume point
receiver.py          connects, reconnects, and decodes the received frames into items
reconnection.py, backoff.py    the address of the next connection, and the delay before it
connection.py        one socket, from handshake to close, with its timeout
connection_end.py    why a connection ended or was refused, and how to react
objects.py           the objects of herald.v1
positions.py         which entries of each stream were received, and the resume point
cursors.py           storage of the resume point
tokens.py, token_refresh.py    tokens, and refreshing the token of an open connection
timing.py            timeouts and delays
addresses.py         the address of a socket, from the URL of a service
"""

from herald_client.backoff import Backoff
from herald_client.connection_end import Stopped
from herald_client.cursors import CursorFile, CursorInMemory, CursorStore, CursorUnreadable
from herald_client.listener import Batch, Listener
from herald_client.objects import (
    Archived,
    Away,
    Broadcast,
    Entry,
    Gap,
    Hello,
    Item,
    Notification,
    Read,
    Unknown,
    Unread,
)
from herald_client.positions import ResumePoint
from herald_client.timing import Timing
from herald_client.tokens import Token

__all__ = [
    "Archived",
    "Away",
    "Backoff",
    "Batch",
    "Broadcast",
    "CursorFile",
    "CursorInMemory",
    "CursorStore",
    "CursorUnreadable",
    "Entry",
    "Gap",
    "Hello",
    "Item",
    "Listener",
    "Notification",
    "Read",
    "ResumePoint",
    "Stopped",
    "Timing",
    "Token",
    "Unknown",
    "Unread",
]
