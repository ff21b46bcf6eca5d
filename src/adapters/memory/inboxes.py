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
from application.ports.inboxes import Leaf, Marked, MutedUnread
from domain.notifications import Choice, Mark, Notification
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

    async def leaf(self, user: str, choice: Choice, limit: int, *, before: int | None = None, skip: int = 0) -> Leaf:
        found = list(islice(_chosen(self._inbox(user), choice, before), skip, skip + limit + 1))
        return Leaf(tuple(found[:limit]), self._records.head(inbox_of(user)), more=len(found) > limit)

    async def count(self, user: str, choice: Choice) -> int:
        return sum(1 for _ in _chosen(self._inbox(user), choice))

    async def unread(self, user: str) -> int:
        return self._inbox(user).unread

    async def unread_by_type(self, user: str) -> dict[str, int]:
        return dict(Counter(one.content.type for one in _chosen(self._inbox(user), Choice(read=False))))

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
        choice = Choice(read=False) if mark == "read" else Choice()
        newest = [one.seq for one in islice(_chosen(inbox, choice, upto + 1), limit)]
        entries = inbox.mark(newest[::-1], mark, now)
        return Marked(entries[::-1], inbox.unread)

    def _muted_unread(self, user: str) -> Iterator[Notification]:
        """Newest first."""
        preferences = self._records.preferences.get(user, DEFAULT)
        unread = _chosen(self._inbox(user), Choice(read=False))
        return (one for one in unread if one.changed == one.seq and preferences.mutes(one.content.type))

    def _inbox(self, user: str) -> Inbox:
        """An empty one of its own for whoever has none: nothing can be marked in it."""
        return self._records.inboxes.get(inbox_of(user)) or Inbox()


def _chosen(inbox: Inbox, choice: Choice, before: int | None = None) -> Iterator[Notification]:
    """Newest first."""
    end = len(inbox.seqs) if before is None else bisect_left(inbox.seqs, before)
    for index in range(end - 1, -1, -1):
        notification = inbox.notifications[inbox.seqs[index]]
        if _is_chosen(notification, choice):
            yield notification


def _is_chosen(notification: Notification, choice: Choice) -> bool:
    return (
        (choice.type is None or choice.type == notification.content.type)
        and (choice.read is None or choice.read == notification.read)
        and (choice.archived is None or choice.archived == notification.archived)
        and (choice.start is None or choice.start <= notification.stored_at)
        and (choice.end is None or notification.stored_at <= choice.end)
    )
