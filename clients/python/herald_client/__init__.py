"""A client of Herald, and the reference for others: docs/clients.md says in words what is done here.

    async with Listener("https://herald.example", token=token, cursor="shop.cursor") as listener:
        async for item in listener:
            match item:
                case Notification():
                    print(item.title, item.data)
                case Hello(gap=streams) if streams:
                    ...  # something is missing: fetch the present state over HTTP

listener.py      what callers use: connects, reconnects, hands over, remembers
reception.py     keeps a connection, and reads its frames
attempts.py      which URL is next, and when
objects.py       what comes: the objects of herald.v1
places.py        positions: what was seen, and what may be remembered of it
cursors.py       where a place is kept
connection.py    one socket, from handshake to close, with its watchdog
endings.py       why a connection ended or was refused, and what to do then
backoff.py       how long to wait
tokens.py, renewal.py    tokens, and a fresh one while a connection lasts
addresses.py     from a service's URL to a socket's
"""

from herald_client.backoff import Backoff
from herald_client.cursors import CursorFile, CursorInMemory, CursorStore, CursorUnreadable
from herald_client.endings import Stopped
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
from herald_client.places import Place
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
    "Place",
    "Read",
    "Stopped",
    "Token",
    "Unknown",
    "Unread",
]
