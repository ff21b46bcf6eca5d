"""Streams: an inbox or a feed as a sequence of entries, each with its position.

Inside Herald a stream has one name, `inbox:<user>` or `feed:<name>`. Clients know their own inbox as `inbox` and
a feed by its bare name, so no feed may be called `inbox`.
"""

import re
import sys
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

from domain.notification_state import StateChange

INBOX: Final = "inbox"

StreamName: TypeAlias = str
Envelope: TypeAlias = Literal["raw", "typed", "event", "flat"]


def inbox_of(user: str) -> StreamName:
    return f"inbox:{user}"


def feed_stream(name: str) -> StreamName:
    return f"feed:{name}"


def is_inbox(stream: StreamName) -> bool:
    return stream.startswith("inbox:")


def owner_of(stream: StreamName) -> str:
    """The user whose inbox it is."""
    return stream.removeprefix("inbox:")


def public_name(stream: StreamName) -> str:
    """What clients call it."""
    return INBOX if stream.startswith("inbox:") else stream[5:]


def validate_feed_name(name: str) -> str | None:
    if name == INBOX:
        return f"is {INBOX!r}, which is what every client calls its own inbox"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return "has other characters than letters, digits, '_' and '-', or more than 64 of them"
    return None


# What is made by the thousand is kept out of the garbage collector's sight (`gc=False`): frozen, and holding only what
# was there before, it can't be part of a cycle.
class Content(msgspec.Struct, frozen=True, gc=False):
    """What one route made of one event, shared by all who get it.

    `type` is what clients see, `event_type` the event's own, if it has one. `body` is JSON text fit to be put in
    `envelope`; with `raw` it is the event's own text, JSON or not. `title` and `message` are what an inbox shows;
    a broadcast has none.
    """

    origin: str
    event_id: str
    source: str
    type: str
    profile: str
    envelope: Envelope
    body: str
    time: datetime
    event_type: str | None = None
    title: str | None = None
    message: str | None = None


def stored_bytes(content: Content) -> int:
    """About how many bytes of text each recipient of a notification adds to the store: the body twice, once as it is
    pushed and once for SQL, its words, and what identifies it."""
    words = (content.title or "", content.message or "", content.origin, content.event_id, content.source)
    return 2 * _utf8_length(content.body) + sum(map(_utf8_length, words))


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class StreamEntry(Protocol):
    """One change of a stream, at a position: `changed`, which is also the position to remember. `seq` is the position
    of the arrival that it is about, or `changed`. `kind` is one of domain.protocol.entry_kinds.

    Buffers, the backplane and sessions use nothing else of an entry. All entries of one position have one kind.
    """

    @property
    def stream(self) -> StreamName: ...
    @property
    def seq(self) -> int: ...
    @property
    def changed(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def stored_at(self) -> datetime: ...
    @property
    def weight(self) -> int:
        """About how many bytes it occupies in memory."""

    @property
    def text_size(self) -> int:
        """About how many characters of it clients are sent."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A notification or a broadcast as an entry of its stream: its arrival, or a change of its state.

    `seq` is the position of the arrival, which orders the stream; `changed` is the position of this entry, equal to
    `seq` for an arrival. A catch-up sends each notification once, in its current state: an `arrival` with `read` set,
    or `archived`. `unread` is the inbox's unread total at `changed`, or when a catch-up read it. A `muted` entry is
    stored and not pushed; if its type is muted, it arrives with `read` set.
    """

    stream: StreamName
    seq: int
    changed: int
    id: UUID
    content: Content
    stored_at: datetime
    kind: Literal["arrival"] | StateChange = "arrival"
    read: bool = False
    muted: bool = False
    unread: int = 0

    @property
    def weight(self) -> int:
        """Its text, and what Python needs for an entry of this shape."""
        content = self.content
        return sys.getsizeof(content.body) + sys.getsizeof(content.message or "") + 600

    @property
    def text_size(self) -> int:
        return len(self.content.body)


class SignOut(msgspec.Struct, frozen=True):
    """Ends everything that was issued to this user up to `not_before`."""

    user: str
    not_before: datetime
