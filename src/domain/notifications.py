"""The notifications of an inbox, and the filters and page cursors for listing them."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from domain.caller_errors import InvalidInput
from domain.notification_state import TRANSITIONS, NotificationState, StateChange, StateFilter, is_unseen
from domain.positions import Head, tag_of
from domain.streams import Content, Entry, inbox_of


class Notification(msgspec.Struct, frozen=True, gc=False):
    """One event addressed to one user, stored in that user's inbox.

    `seq` is its position in the inbox, assigned when it arrived. `changed` is the position of its last state change,
    which was made at `updated_at`; it is equal to `seq` if the state never changed.
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
        """Returns the notification after a state change, made at the time `now` and with this position in the inbox;
        None if the change is a no-op.
        """
        state = TRANSITIONS[change].apply(self.state, now)
        if state is None:
            return None
        return msgspec.structs.replace(self, changed=position, updated_at=now, state=state)

    def is_unseen(self, head: Head) -> bool:
        """Returns whether the notification counts as unseen in its inbox, which has this head."""
        return is_unseen(self.state, self.seq, head.seen_seq)

    def entry(self, head: Head, kind: StateChange | Literal["arrival"] | None = None) -> Entry:
        """Returns the entry that reports this notification to clients. `kind` says what the entry reports: the arrival,
        or a state change. Without `kind`, the entry reports the current state: `archived` for an archived notification,
        otherwise `arrival`. `head` is the head of the inbox after what the entry reports.
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
            head.unread,
            head.unseen,
        )


def head_after(head: Head, changed: Iterable[tuple[Notification, Notification]]) -> Head:
    """Returns the head of an inbox after state changes of its notifications, all at the next position. `changed` has
    each changed notification before and after the change.
    """
    unread, unseen = head.unread, head.unseen
    for before, after in changed:
        unread += after.state.unread - before.state.unread
        unseen += after.is_unseen(head) - before.is_unseen(head)
    return msgspec.structs.replace(head, last=head.last + 1, unread=unread, seen_unread=unread - unseen)


class NotificationFilter(StateFilter, frozen=True, kw_only=True):
    """Selects the notifications of an inbox for a list. None means any value; by default, archived notifications are
    left out. `start` and `end` limit the time of storing, both inclusive.
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
    """Returns the opaque cursor of the next page of a user's list, which is sorted from the newest notification to the
    oldest. The page begins with the first notification whose `seq` is less than this one.
    """
    return f"p1.{tag_of(user)}.{seq}"


def read_page_cursor(user: str, text: str) -> int:
    """Returns the `seq` in a page cursor. The page contains only notifications whose `seq` is less. Raises InvalidInput
    if the text is not a page cursor of this user.
    """
    match = _PAGE_CURSOR.match(text)
    if match is None or match[1] != tag_of(user):
        raise InvalidInput(
            "The cursor is not one of your list: omit it to begin with the newest notifications.", "cursor"
        )
    return int(match[2])
