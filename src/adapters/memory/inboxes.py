"""Inboxes in memory, as their owners handle them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Literal
from uuid import UUID

from adapters.memory.records import MemoryRecords
from adapters.memory.streams import Inbox
from application.ports.inboxes import InboxPage, Marked, MutedUnread
from domain.notifications import Mark, Notification, NotificationFilter
from domain.preferences import DEFAULT
from domain.streams import inbox_of


class MemoryInboxes:
    """Implements Inboxes."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def get(self, user: str, id: UUID) -> Notification | None:
        inbox = self._inbox(user)
        seq = inbox.ids.get(id)
        return None if seq is None else inbox.notifications[seq]

    async def some(self, user: str, ids: Collection[UUID]) -> dict[UUID, Notification]:
        inbox = self._inbox(user)
        return {id: inbox.notifications[inbox.ids[id]] for id in ids if id in inbox.ids}

    async def page(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> InboxPage:
        found = list(islice(_matching(self._inbox(user), filter, before), skip, skip + limit + 1))
        return InboxPage(tuple(found[:limit]), self._records.head(inbox_of(user)), more=len(found) > limit)

    async def count(self, user: str, filter: NotificationFilter) -> int:
        return sum(1 for _ in _matching(self._inbox(user), filter))

    async def unread(self, user: str) -> int:
        return self._inbox(user).unread

    async def unread_by_type(self, user: str) -> dict[str, int]:
        return dict(Counter(one.content.type for one in _matching(self._inbox(user), NotificationFilter(read=False))))

    async def mark(self, user: str, id: UUID, mark: Mark, now: datetime) -> Marked | None:
        inbox = self._inbox(user)
        seq = inbox.ids.get(id)
        if seq is None:
            return None
        entries = inbox.mark([seq], mark, now)
        return Marked(entries, inbox.unread, inbox.notifications[seq])

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        muting = sorted(user for user, preferences in self._records.preferences.items() if preferences.muted_types)
        found = [user for user in muting if after is None or user > after][:limit]
        with_unread = tuple(user for user in found if next(self._muted_unread(user), None) is not None)
        return MutedUnread(with_unread, found[-1] if len(found) == limit else None)

    async def read_muted(self, user: str, limit: int, now: datetime) -> Marked:
        inbox = self._inbox(user)
        newest = [one.seq for one in islice(self._muted_unread(user), limit)]
        entries = inbox.mark(newest[::-1], "read", now)
        return Marked(entries[::-1], inbox.unread)

    async def mark_all(
        self, user: str, mark: Literal["read", "archived"], upto: int, limit: int, now: datetime
    ) -> Marked:
        inbox = self._inbox(user)
        filter = NotificationFilter(read=False) if mark == "read" else NotificationFilter()
        newest = [one.seq for one in islice(_matching(inbox, filter, upto + 1), limit)]
        entries = inbox.mark(newest[::-1], mark, now)
        return Marked(entries[::-1], inbox.unread)

    def _muted_unread(self, user: str) -> Iterator[Notification]:
        """Newest first."""
        preferences = self._records.preferences.get(user, DEFAULT)
        unread = _matching(self._inbox(user), NotificationFilter(read=False))
        return (one for one in unread if one.changed == one.seq and preferences.mutes(one.content.type))

    def _inbox(self, user: str) -> Inbox:
        """An empty one of its own for whoever has none: nothing can be marked in it."""
        return self._records.inboxes.get(inbox_of(user)) or Inbox()


def _matching(inbox: Inbox, filter: NotificationFilter, before: int | None = None) -> Iterator[Notification]:
    """Newest first."""
    end = len(inbox.seqs) if before is None else bisect_left(inbox.seqs, before)
    for index in range(end - 1, -1, -1):
        notification = inbox.notifications[inbox.seqs[index]]
        if _matches(notification, filter):
            yield notification


def _matches(notification: Notification, filter: NotificationFilter) -> bool:
    return (
        (filter.type is None or filter.type == notification.content.type)
        and (filter.read is None or filter.read == notification.read)
        and (filter.archived is None or filter.archived == notification.archived)
        and (filter.start is None or filter.start <= notification.stored_at)
        and (filter.end is None or notification.stored_at <= filter.end)
    )
