"""The port for an inbox as its owner uses it: listed, counted, changed."""

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
    """Notifications, newest first, and the inbox's head, both read at the same moment. `more` says whether there are
    older ones."""

    notifications: tuple[Notification, ...]
    head: Head
    more: bool


class StateChanged(msgspec.Struct, frozen=True):
    """The result of a change: the entries to publish, all at one position; empty for a no-op.

    `notification` is the changed notification in its current state; None if several were changed. `unread` is the
    inbox's unread total.
    """

    entries: tuple[Entry, ...]
    unread: int
    notification: Notification | None = None


class MutedUnread(msgspec.Struct, frozen=True):
    """Users who have unread notifications of types that they mute. `next` continues the search (see
    Inboxes.find_muted_unread); None at its end."""

    users: tuple[str, ...]
    next: str | None


class Inboxes(Protocol):
    """Lists an inbox, and changes the state of its notifications.

    A change is an entry of the stream: it takes the inbox's next position, in the transaction that makes the change. A
    no-op takes no position (domain.notification_state defines which changes are no-ops). All methods read and change
    only the inbox of `user`; the notifications of other users count as not existing. Every method raises
    StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str, id: UUID) -> Notification | None:
        """Returns one notification, archived or not; None if it does not exist."""

    async def some(self, user: str, ids: Collection[UUID]) -> dict[UUID, Notification]:
        """Returns the notifications with these ids, by id, archived or not. Ids that do not exist are left out."""

    async def page(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> InboxPage:
        """Returns the newest `limit` notifications that the filter selects, with seq < `before`, after skipping the
        first `skip`. With `before`, every page costs the same."""

    async def count(self, user: str, filter: NotificationFilter) -> int:
        """Returns the number of notifications that the filter selects. The cost grows with their number."""

    async def unread(self, user: str) -> int:
        """Returns the unread total. It is stored, so nothing is counted."""

    async def unread_by_type(self, user: str) -> dict[str, int]:
        """Returns the unread totals by type; types without unread notifications are left out."""

    async def change(self, user: str, id: UUID, change: StateChange, now: datetime) -> StateChanged | None:
        """Changes one notification. Returns None if it does not exist."""

    async def change_all(self, user: str, change: StateChange, upto: int, limit: int, now: datetime) -> StateChanged:
        """Changes the newest `limit` notifications with seq <= `upto` that the change applies to, all at one position.
        The entries are ordered newest first; fewer than `limit` mean that no such notifications are left."""

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        """Searches the next `limit` users who mute any type, in the order of their ids, beginning after the user
        `after`. Finds those with unread notifications of these types. Notifications that their user has marked unread
        do not count."""

    async def read_muted(self, user: str, limit: int, now: datetime) -> StateChanged:
        """Marks the newest `limit` unread notifications of types that the user mutes as read, all at one position. The
        entries are ordered newest first; fewer than `limit` mean that no such notifications are left."""
