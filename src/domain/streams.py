"""Streams: an inbox or a feed as a sequence of entries, each with its position.

Inside Herald the name of a stream is `inbox:<user>` or `feed:<name>`. Clients use public names: `inbox` for their own
inbox, and the bare name of a feed. So no feed may be called `inbox`.
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
    """Returns the user who owns the inbox."""
    return stream.removeprefix("inbox:")


def public_name(stream: StreamName) -> str:
    """Returns the name that clients use for the stream."""
    return INBOX if stream.startswith("inbox:") else stream[5:]


def validate_feed_name(name: str) -> str | None:
    if name == INBOX:
        return "is reserved: every client has its own inbox under this name"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return "must have 1 to 64 characters: letters, digits, '_' and '-'"
    return None


# Structs that exist in large numbers are excluded from garbage collection (`gc=False`). They are frozen and refer only
# to objects that existed before them, so they can't be part of a cycle.
class Content(msgspec.Struct, frozen=True, gc=False):
    """The content that one route made of one event, shared by all its recipients.

    `type` is the type that clients receive. `event_type` is the event's own type, or None. `body` is the JSON text to
    put into `envelope`; with the envelope `raw` it is the event's own text, JSON or not. `title` and `message` are
    shown in an inbox; both are None for a broadcast.
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
    """Returns the approximate number of bytes that each recipient of a notification adds to the store: the body twice
    (as it is pushed, and for SQL), the title and message, and the identifiers.
    """
    words = (content.title or "", content.message or "", content.origin, content.event_id, content.source)
    return 2 * _utf8_length(content.body) + sum(map(_utf8_length, words))


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class StreamEntry(Protocol):
    """One change of a stream.

    `changed` is its position: a client that has received the entry resumes after it. `seq` is the position of the
    arrival that the entry is about, or equal to `changed`. `kind` is one of domain.protocol.entry_kinds. All entries at
    one position have the same kind.

    Buffers, the backplane and sessions use only these properties of an entry.
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
        """Approximate size in memory, in bytes."""

    @property
    def text_size(self) -> int:
        """Approximate number of characters of the entry that clients receive."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A notification or a broadcast as an entry of its stream: its arrival, or a change of its state.

    `seq` is the position of the arrival, which orders the stream. `changed` is the position of this entry; it is equal
    to `seq` for an arrival. A session that catches up is sent each notification once, in its current state: as an
    `arrival` with `read` set, or as `archived`. `unread` is the inbox's unread total at `changed`, or at the time at
    which the entry was read for a catch-up. A `muted` entry is stored, but not pushed; if its type is muted, it arrives
    with `read` set.
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
        """The size of the entry's text in memory, plus Python's overhead for an entry of this shape."""
        content = self.content
        return sys.getsizeof(content.body) + sys.getsizeof(content.message or "") + 600

    @property
    def text_size(self) -> int:
        return len(self.content.body)


class SignOut(msgspec.Struct, frozen=True):
    """A sign-out: ends every token and session that was issued to this user up to `not_before`."""

    user: str
    not_before: datetime
