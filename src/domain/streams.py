"""Streams: inboxes and feeds, each a sequence of entries with positions.

Inside Herald, the name of a stream is `inbox:<user>` or `feed:<name>`. Its public name, which clients use, is `inbox`
for the client's own inbox, and `<name>` for a feed. So no feed may have the name `inbox`.
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
    """Returns the user whose inbox this stream is. The stream must be an inbox."""
    return stream.removeprefix("inbox:")


def public_name(stream: StreamName) -> str:
    """Returns the name that clients use for a stream: `inbox`, or the name of the feed."""
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
    """The content of a broadcast, or of the notifications of all users to whom one route addresses an event.

    `type` is the type that clients receive. `event_type` is the event's own type; None if it has none. `body` is the
    JSON text that is put into the `envelope`; for the envelope `raw`, it is the payload's own text, JSON or not.
    `title`, `message` and `url` are what an inbox shows; all are None for a broadcast. `url` is None for a notification
    that links to nothing.
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
    url: str | None = None


def stored_bytes(content: Content) -> int:
    """Returns the approximate number of bytes that one notification with this content takes in the store: the body
    twice (as it is pushed, and as JSON for SQL), the title, the message, the URL, and the identifiers.
    """
    shown = (content.title or "", content.message or "", content.url or "")
    words = (*shown, content.origin, content.event_id, content.source)
    return 2 * _utf8_length(content.body) + sum(map(_utf8_length, words))


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class StreamEntry(Protocol):
    """The properties that entries of all kinds have. Buffers, the backplane and sessions use no others.

    `changed` is the position of the entry in its stream: a client that has received the entry resumes after it. `seq`
    is a position that the entry is about: for an entry about a notification or broadcast, that of its arrival, which is
    equal to `changed` if the entry is that arrival. `kind` is the name of the kind (see domain.protocol.entry_kinds).
    Several entries can have the same position; these are of the same kind.
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
    def stored_at(self) -> datetime | None:
        """When the entry was stored; None if this is not known."""

    @property
    def weight(self) -> int:
        """The approximate size of the entry in memory, in bytes."""

    @property
    def text_size(self) -> int:
        """The approximate number of characters that a client receives for the entry."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An entry about a notification or a broadcast. Its `kind` is the arrival, or a change of the notification's state.

    `changed` is the position of this entry. `seq` is the position of the arrival; the two are equal if this entry is
    the arrival. `read` is true if the notification is read, as it is from the beginning if the user has muted its type.
    `muted` is true if the arrival of the notification is not pushed to sessions. `unread` and `unseen` are the numbers
    of unread and of unseen notifications in the inbox after this entry. `unseen` is None for a broadcast, and for an
    entry that a node of version 0.4 or earlier has published: those do not count unseen notifications.

    A session that missed entries is sent each notification once, in its current state: as an `arrival` with the current
    `read`, or as `archived`. Then `unread` and `unseen` are the numbers at the time of reading from the store.
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
    unseen: int | None = None

    @property
    def weight(self) -> int:
        """The approximate size of the entry in memory, in bytes: that of its texts, and 600 bytes for the objects."""
        content = self.content
        texts = (content.body, content.message or "", content.url or "")
        return sum(map(sys.getsizeof, texts)) + 600

    @property
    def text_size(self) -> int:
        return len(self.content.body)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An entry about an inbox itself: its owner has seen all notifications up to position `seq`, the watermark.
    `changed` is the position of this entry, and `unseen` the number of unseen notifications after it. An inbox has only
    one watermark, so a session that missed several moves of it is sent the last one. `stored_at` is None if the entry
    was read from the store.
    """

    stream: StreamName
    seq: int
    changed: int
    unseen: int
    stored_at: datetime | None = None
    kind: Literal["seen"] = "seen"

    @property
    def weight(self) -> int:
        return 300

    @property
    def text_size(self) -> int:
        return 100


class SignOut(msgspec.Struct, frozen=True):
    """A sign-out of a user: it ends the sessions and invalidates the tokens that were issued up to the time
    `not_before`.
    """

    user: str
    not_before: datetime
