"""Notifications of an inbox, and the filters and page cursors of its lists."""

import re
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from domain.errors import InvalidInput
from domain.notification_state import TRANSITIONS, NotificationState, StateChange, StateFilter
from domain.positions import tag_of
from domain.streams import Content, Entry, inbox_of


class Notification(msgspec.Struct, frozen=True, gc=False):
    """One event addressed to one user, stored in that user's inbox.

    `seq` is the position of its arrival. `changed` is the position of its last change, which was made at `updated_at`.
    """

    id: UUID
    user: str
    seq: int
    changed: int
    stored_at: datetime
    updated_at: datetime
    content: Content
    state: NotificationState

    def after(self, change: StateChange, position: int, now: datetime) -> "Notification | None":
        """Returns the notification after a state change at this position; None if the change is a no-op."""
        state = TRANSITIONS[change].apply(self.state, now)
        if state is None:
            return None
        return msgspec.structs.replace(self, changed=position, updated_at=now, state=state)

    def entry(self, unread: int, kind: StateChange | Literal["arrival"] | None = None) -> Entry:
        """Returns the stream entry of the notification. `kind` is the change that has just been made; without it, the
        entry describes the current state. `unread` is the inbox's unread total.
        """
        state = self.state
        return Entry(
            inbox_of(self.user),
            self.seq,
            self.changed,
            self.id,
            self.content,
            self.stored_at,
            kind or ("archived" if state.archived else "arrival"),
            state.read,
            state.muted,
            unread,
        )


class NotificationFilter(StateFilter, frozen=True, kw_only=True):
    """Selects notifications of an inbox; None matches any value. `start` and `end` are inclusive bounds of the time of
    storing.
    """

    archived: bool | None = False
    type: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def selects(self, notification: Notification) -> bool:
        return (
            self.matches(notification.state)
            and (self.type is None or self.type == notification.content.type)
            and (self.start is None or self.start <= notification.stored_at)
            and (self.end is None or notification.stored_at <= self.end)
        )


# Positions have at most 15 digits.
_PAGE_CURSOR: Final = re.compile(r"p1\.([0-9a-f]+)\.([0-9]{1,15})\Z")


def page_cursor(user: str, seq: int) -> str:
    """Returns the cursor of a page of this user's list, as an opaque text. The page begins with the first notification
    below position `seq`.
    """
    return f"p1.{tag_of(user)}.{seq}"


def read_page_cursor(user: str, text: str) -> int:
    """Returns the position below which the page begins. Raises InvalidInput if the text is not a page cursor of this
    user.
    """
    match = _PAGE_CURSOR.match(text)
    if match is None or match[1] != tag_of(user):
        raise InvalidInput(
            "The cursor is not one of your list: omit it to begin with the newest notifications.", "cursor"
        )
    return int(match[2])
