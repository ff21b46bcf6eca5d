"""The port for an inbox as its owner handles it: looked through, counted, marked."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from domain.notifications import Mark, Notification, NotificationFilter
from domain.positions import Head
from domain.streams import Entry


class InboxPage(msgspec.Struct, frozen=True):
    """Some notifications, newest first, and the inbox's head as of the same moment. `more` says whether older ones
    follow."""

    notifications: tuple[Notification, ...]
    head: Head
    more: bool


class Marked(msgspec.Struct, frozen=True):
    """What a mark has changed: the entries to publish, all at one position, none where there was nothing to change.

    `notification` is the one that was meant, as it stands now; None for a mass act. `unread` is the inbox's total.
    """

    entries: tuple[Entry, ...]
    unread: int
    notification: Notification | None = None


class MutedUnread(msgspec.Struct, frozen=True):
    """Users who have unread notifications of types that they mute. `next` continues the search, None at its end."""

    users: tuple[str, ...]
    next: str | None


class Inboxes(Protocol):
    """For looking through an inbox and marking what is in it.

    Marks are events of the stream: each takes the inbox's next position in the transaction that makes it, and what
    changes nothing takes none. All methods see and change the one user's inbox only: another's notification is not
    there. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str, id: UUID) -> Notification | None:
        """Archived ones too."""

    async def some(self, user: str, ids: Collection[UUID]) -> dict[UUID, Notification]:
        """Those of them that are there, by id."""

    async def page(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> InboxPage:
        """The newest chosen ones with seq < `before`, without the first `skip` of them. By `before` at the same cost
        at any depth."""

    async def count(self, user: str, filter: NotificationFilter) -> int:
        """How many are chosen. Counts them one by one."""

    async def unread(self, user: str) -> int:
        """How many are neither read nor archived. A number that is kept, not counted."""

    async def unread_by_type(self, user: str) -> dict[str, int]:
        """The same by type; types without any are left out."""

    async def mark(self, user: str, id: UUID, mark: Mark, now: datetime) -> Marked | None:
        """Marks one; None if it is not there. One that is archived stays as it is, whatever it is marked."""

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        """Searches the next `limit` users who mute any type, in the order of their ids, for unread notifications of
        these types. What a user has marked unread does not count."""

    async def read_muted(self, user: str, limit: int, now: datetime) -> Marked:
        """Marks the newest `limit` of these as read, at one position. The entries come newest first; fewer than
        `limit` mean that none are left."""

    async def mark_all(
        self, user: str, mark: Literal["read", "archived"], upto: int, limit: int, now: datetime
    ) -> Marked:
        """Marks the newest `limit` with seq <= `upto` that are not so marked (nor archived), at one position. The
        entries come newest first; fewer than `limit` mean that none are left."""
