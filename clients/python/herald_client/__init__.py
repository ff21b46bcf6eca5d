"""The Python client of Herald: receives a user's notifications and broadcasts over `herald.v1`. It is the reference for
clients in other languages; docs/clients.md describes how a client should behave.

    async with Listener("https://herald.example", token=token, cursor="shop.cursor") as listener:
        async for item in listener:
            match item:
                case Notification():
                    print(item.title, item.data)
                case Hello(gap=streams) if streams:
                    ...  # entries were lost: fetch the current state over HTTP

The resume point, in all modules, is what the client saves and sends to continue after a disconnect: the cursor and the
last received position of each stream.

listener.py          Listener, the class for callers: returns items, saves the resume point
receiver.py          connects, reconnects, and decodes received frames into items
reconnection.py      chooses the address of the next connection
backoff.py           computes the delay before the next connection
connection.py        one WebSocket connection, from handshake to close
connection_end.py    decides between reconnecting and stopping after a connection has ended
objects.py           the JSON objects of herald.v1
positions.py         the last received position of each stream, and the resume point
cursors.py           stores the resume point in a file or in memory
tokens.py            the current token and its expiry
token_refresh.py     sends a new token on an open connection before the old one expires
timing.py            timeouts and delays
addresses.py         the WebSocket address for the URL of a Herald server
"""

from herald_client.backoff import Backoff
from herald_client.connection_end import Stopped
from herald_client.connection_timing import Timing
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
    Seen,
    Unknown,
    Unread,
)
from herald_client.positions import ResumePoint
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
    "Seen",
    "Stopped",
    "Timing",
    "Token",
    "Unknown",
    "Unread",
]
