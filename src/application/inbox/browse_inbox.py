"""Listing the notifications of an inbox, and counting the unread and the unseen ones."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.caller_errors import NotFound
from domain.notifications import Notification, NotificationFilter, page_cursor, read_page_cursor
from domain.positions import Cursor, Head, tag_of
from domain.storable_text import require_storable
from domain.streams import INBOX, inbox_of


class NotificationList(msgspec.Struct, frozen=True):
    """A page of an inbox, newest notification first.

    - `head`: the head of the inbox when it was listed, with the unread and unseen totals and the watermark.
    - `cursor`: a session cursor. A session that starts from it receives every change made after this list was read.
    - `next_cursor`: the argument `cursor` of BrowseInbox.by_cursor for the next page, with older notifications; None on
      the last page.
    - `total`: the number of notifications on all pages that match the filter; None if they were not counted.
    """

    notifications: Sequence[Notification]
    head: Head
    cursor: str
    next_cursor: str | None
    total: int | None = None


class BrowseInbox:
    """Lists a user's own inbox, and counts its unread and unseen notifications; for the REST API.

    There are two kinds of pages. With `by_cursor`, every page costs the same, and notifications that arrive meanwhile
    do not move others to another page. With `by_page`, pages have numbers and a total, but later pages cost more, and
    all notifications that match are counted.

    `one` returns archived notifications too; lists contain them if the filter selects them. Raises StoreUnavailable;
    NotFound for a notification that does not exist; InvalidInput for a cursor that `by_cursor` did not return to this
    user, and for a type that can't be stored, such as one with U+0000.
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
        """Returns the newest `limit` notifications that match the filter. If `cursor` is given, which is the
        `next_cursor` of a page, returns the next older `limit` notifications after that page."""
        before = None if cursor is None else read_page_cursor(user, cursor)
        return await self._listing(user, filter, limit, before=before)

    async def by_page(self, user: str, filter: NotificationFilter, page: int, size: int) -> NotificationList:
        """Returns page number `page` (from 1) of the notifications that match the filter, with `size` notifications on
        a page, and their total number."""
        listing = await self._listing(user, filter, size, skip=(page - 1) * size)
        return msgspec.structs.replace(listing, total=await self._inboxes.count(user, filter))

    async def head(self, user: str) -> Head:
        """Returns the head of the inbox, which has the unread and unseen totals. Takes the same time for an inbox of
        any size."""
        stream = inbox_of(user)
        return (await self._store.heads([stream]))[stream]

    async def unread_by_type(self, user: str) -> dict[str, int]:
        """Returns the number of unread notifications of each type, for example `{"ticket.created": 3}`. Types without
        unread notifications are left out."""
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
            head=page.head,
            cursor=str(Cursor(epoch, tag_of(user), {INBOX: page.head.last})),
            next_cursor=page_cursor(user, found[-1].seq) if page.more and found else None,
        )
