"""Notifications as an inbox keeps them: what can be asked of it, and what can be done to it."""

import re
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.errors import InvalidInput
from domain.positions import tag_of
from domain.streams import Content, Entry, inbox_of

# What can be done to a notification.
Mark: TypeAlias = Literal["read", "unread", "archived"]


class Notification(msgspec.Struct, frozen=True, gc=False):
    """One event addressed to one user, as it stands in that user's inbox.

    `seq` is the position of its arrival, `changed` that of what last happened to it. `updated_at` is when that was.
    What is archived has left the inbox, and can't be marked any more.
    """

    id: UUID
    user: str
    seq: int
    changed: int
    content: Content
    stored_at: datetime
    updated_at: datetime
    read_at: datetime | None = None
    archived: bool = False
    muted: bool = False

    @property
    def read(self) -> bool:
        return self.read_at is not None

    @property
    def unread(self) -> bool:
        """Whether it counts as unread: what is archived does not."""
        return not self.read and not self.archived

    def marked(self, mark: Mark, position: int, now: datetime) -> "Notification | None":
        """What a mark makes of it, at a position; None where that is no news. What is archived can't be marked any
        more."""
        if self.archived or (mark != "archived" and self.read == (mark == "read")):
            return None
        read_at = {"read": now, "unread": None, "archived": self.read_at}[mark]
        archived = mark == "archived"
        return msgspec.structs.replace(self, changed=position, updated_at=now, read_at=read_at, archived=archived)

    def entry(self, unread: int, kind: Mark | Literal["arrival"] | None = None) -> Entry:
        """What a stream tells of it: as it stands, or that it was just marked. `unread` is the inbox's total."""
        return Entry(
            inbox_of(self.user),
            self.seq,
            self.changed,
            self.id,
            self.content,
            self.stored_at,
            kind or ("archived" if self.archived else "arrival"),
            self.read,
            self.muted,
            unread,
        )


class NotificationFilter(msgspec.Struct, frozen=True):
    """Which notifications of an inbox are meant; None is any. `start` and `end` bound the time of storing, both
    included."""

    type: str | None = None
    read: bool | None = None
    archived: bool | None = False
    start: datetime | None = None
    end: datetime | None = None


# 15 digits: no position is longer.
_PAGE_CURSOR: Final = re.compile(r"p1\.([0-9a-f]+)\.([0-9]{1,15})\Z")


def page_cursor(user: str, seq: int) -> str:
    """Says "what is older than this": opaque text that leads through this user's list, and nothing else."""
    return f"p1.{tag_of(user)}.{seq}"


def read_page_cursor(user: str, text: str) -> int:
    """The seq that the page begins below. Raises InvalidInput for what is no page cursor of this user."""
    match = _PAGE_CURSOR.match(text)
    if match is None or match[1] != tag_of(user):
        raise InvalidInput("This cursor leads through no list of yours: begin without one.", "cursor")
    return int(match[2])
