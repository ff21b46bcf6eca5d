"""Listing an inbox, and counting its unread notifications."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.errors import NotFound
from domain.notifications import Notification, NotificationFilter, page_cursor, read_page_cursor
from domain.positions import Cursor, tag_of
from domain.storable_text import require_storable
from domain.streams import INBOX


class NotificationList(msgspec.Struct, frozen=True):
    """Notifications of an inbox, newest first.

    `next_cursor` is the cursor of the next page, with older notifications; None on the last page. `cursor` is a session
    cursor: a session that resumes from it receives every change that was made after this list was read. `total` is the
    number of notifications that the filter selects; None if they were not counted.
    """

    notifications: Sequence[Notification]
    unread: int
    cursor: str
    next_cursor: str | None
    total: int | None = None


class BrowseInbox:
    """Lists a user's own inbox.

    `by_cursor`: every page costs the same, and new arrivals do not shift the pages. `by_page`: all notifications are
    counted, and later pages cost more. Archived notifications are found by id, and listed if the filter selects them.
    Raises NotFound, InvalidInput for a cursor of another list, and StoreUnavailable.
    """

    def __init__(self, inboxes: Inboxes, store: Store) -> None:
        self._inboxes = inboxes
        self._store = store

    async def one(self, user: str, id: UUID) -> Notification:
        found = await self._inboxes.get(user, id)
        if found is None:
            raise NotFound("There is no such notification.")
        return found

    async def by_cursor(
        self, user: str, filter: NotificationFilter, limit: int, cursor: str | None = None
    ) -> NotificationList:
        """Returns the newest `limit` notifications; with `cursor`, the next `limit` after those of the page that
        returned the cursor."""
        before = None if cursor is None else read_page_cursor(user, cursor)
        return await self._listing(user, filter, limit, before=before)

    async def by_page(self, user: str, filter: NotificationFilter, page: int, size: int) -> NotificationList:
        """Returns page number `page`, counted from 1, of pages with `size` notifications, and the total."""
        listing = await self._listing(user, filter, size, skip=(page - 1) * size)
        return msgspec.structs.replace(listing, total=await self._inboxes.count(user, filter))

    async def unread(self, user: str) -> int:
        return await self._inboxes.unread(user)

    async def unread_by_type(self, user: str) -> dict[str, int]:
        """Returns the unread totals by type. Types without unread notifications are left out."""
        return await self._inboxes.unread_by_type(user)

    async def _listing(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> NotificationList:
        require_storable(filter.type or "", "type")
        epoch = await self._store.epoch()
        page = await self._inboxes.page(user, filter, limit, before=before, skip=skip)
        found = page.notifications
        return NotificationList(
            notifications=found,
            unread=page.head.unread,
            cursor=str(Cursor(epoch, tag_of(user), {INBOX: page.head.last})),
            next_cursor=page_cursor(user, found[-1].seq) if page.more and found else None,
        )
