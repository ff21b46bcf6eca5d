"""Browsing an inbox: what is in it, and how much of it is new."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.errors import NotFound
from domain.notifications import Notification, NotificationFilter, page_cursor, read_page_cursor
from domain.positions import Cursor, tag_of
from domain.storable import storable
from domain.streams import INBOX


class NotificationList(msgspec.Struct, frozen=True):
    """A stretch of an inbox, newest first.

    `next_cursor` leads to what is older, None at the end. `cursor` is the session cursor as of this read: what changes
    afterwards follows it. `total` counts all that were chosen, where it was asked for.
    """

    notifications: Sequence[Notification]
    unread: int
    cursor: str
    next_cursor: str | None
    total: int | None = None


class BrowseInbox:
    """Shows a user the own inbox.

    By cursor, a list costs the same at any depth, and what arrives meanwhile shifts nothing. By page, it is counted,
    and later pages cost more. What is archived can be looked up by its id, and is listed where it is asked for.
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
        """The newest `limit`, or those that follow where `cursor` leads to."""
        before = None if cursor is None else read_page_cursor(user, cursor)
        return await self._listing(user, filter, limit, before=before)

    async def by_page(self, user: str, filter: NotificationFilter, page: int, size: int) -> NotificationList:
        """The `page`-th `size` of them, from 1."""
        listing = await self._listing(user, filter, size, skip=(page - 1) * size)
        return msgspec.structs.replace(listing, total=await self._inboxes.count(user, filter))

    async def unread(self, user: str) -> int:
        return await self._inboxes.unread(user)

    async def unread_by_type(self, user: str) -> dict[str, int]:
        """Types without any are left out."""
        return await self._inboxes.unread_by_type(user)

    async def _listing(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> NotificationList:
        storable(filter.type or "", "type")
        epoch = await self._store.epoch()
        page = await self._inboxes.page(user, filter, limit, before=before, skip=skip)
        found = page.notifications
        return NotificationList(
            notifications=found,
            unread=page.head.unread,
            cursor=str(Cursor(epoch, tag_of(user), {INBOX: page.head.last})),
            next_cursor=page_cursor(user, found[-1].seq) if page.more and found else None,
        )
