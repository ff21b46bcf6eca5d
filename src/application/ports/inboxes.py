"""The port for the inboxes of users: lists and counts notifications, and changes their state."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from domain.notification_state import StateChange
from domain.notifications import Notification, NotificationFilter
from domain.positions import Head
from domain.streams import Entry


class InboxPage(msgspec.Struct, frozen=True):
    """A page of an inbox: notifications, newest first, and the head of the inbox at the same moment. `more`: whether
    the filter selects older notifications too."""

    notifications: tuple[Notification, ...]
    head: Head
    more: bool


class StateChanged(msgspec.Struct, frozen=True):
    """The result of a change of notifications.

    `entries`: the entries to publish, one for each changed notification, all at one position; empty if nothing changed.
    `head`: the head of the inbox after the change. `notification`: if the call was about one notification, that
    notification after the change; otherwise None.
    """

    entries: tuple[Entry, ...]
    head: Head
    notification: Notification | None = None


class SeenMoved(msgspec.Struct, frozen=True):
    """The result of Inboxes.see. `is_moved`: whether the watermark was moved; otherwise nothing was changed. `head`:
    the head of the inbox afterwards."""

    is_moved: bool
    head: Head


class MutedUnread(msgspec.Struct, frozen=True):
    """A part of the result of Inboxes.find_muted_unread: users who have unread notifications of types that they have
    muted. `next`: the argument `after` of the next call; None if there are no more users."""

    users: tuple[str, ...]
    next: str | None


class Inboxes(Protocol):
    """Lists the notifications of an inbox, changes their state (read, archived), and moves the watermark up to which
    the user has seen the inbox.

    Positions: a change is an entry of the inbox's stream, and takes the next position in the transaction that makes the
    change. A change without an effect, such as marking a read notification as read, takes none
    (domain.notification_state). The watermark never moves back, and a change of a notification never moves it.
    Isolation: a method with an argument `user` reads and changes only that user's inbox. The id of another user's
    notification counts as not existing.
    Errors: every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str, id: UUID) -> Notification | None:
        """Returns the notification with this id, even if it is archived; None if it does not exist."""

    async def some(self, user: str, ids: Collection[UUID]) -> dict[UUID, Notification]:
        """Returns the notifications with these ids, keyed by id, even if they are archived. Ids that do not exist are
        left out."""

    async def page(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> InboxPage:
        """Returns the newest `limit` notifications that the filter selects, after skipping the first `skip`. If
        `before` is set, only those with a smaller `seq`.

        To read page after page, use `before`: its cost is the same for every page, while the cost of `skip` grows with
        the number of skipped notifications.
        """

    async def count(self, user: str, filter: NotificationFilter) -> int:
        """Returns the number of notifications that the filter selects. The time that it takes grows with this
        number."""

    async def unread_by_type(self, user: str) -> dict[str, int]:
        """Returns the number of unread notifications of each type; types without any are left out."""

    async def change(self, user: str, id: UUID, change: StateChange, now: datetime) -> StateChanged | None:
        """Changes the state of one notification. Returns None if it does not exist."""

    async def change_all(self, user: str, change: StateChange, upto: int, limit: int, now: datetime) -> StateChanged:
        """Changes the newest `limit` of those notifications with seq <= `upto` whose state the change would alter. All
        get one position. The entries in the result are ordered newest first.

        If there are fewer than `limit` entries, all such notifications are changed. Otherwise, call again for the rest.
        """

    async def see(self, user: str, upto: int) -> SeenMoved:
        """Moves the watermark to the newest notification with seq <= `upto`. Does nothing if there is no such
        notification after the watermark."""

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        """Searches the next `limit` users who have muted any type, in the order of their ids, after the user id `after`
        (None: from the first). Returns those of them who have unread notifications of the types that they have muted.

        Ignores notifications whose state their user has changed since they arrived, for example back to unread.
        """

    async def mark_muted_read(self, user: str, limit: int, now: datetime) -> StateChanged:
        """Marks as read the newest `limit` of the unread notifications that find_muted_unread searches for, in this
        user's inbox. All get one position. The entries in the result are ordered newest first.

        If there are fewer than `limit` entries, all such notifications are read. Otherwise, call again for the rest.
        """
