"""Lists a user's notifications in memory, and changes their state (read, unread, archived)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import islice
from uuid import UUID

from adapters.memory.shared_records import MemoryRecords
from adapters.memory.streams import Inbox
from application.ports.inboxes import InboxPage, MutedUnread, SeenMoved, StateChanged
from domain.notification_state import TRANSITIONS, StateChange
from domain.notifications import Notification, NotificationFilter
from domain.preferences import DEFAULT
from domain.streams import inbox_of


class MemoryInboxes:
    """Implements the port Inboxes on the shared MemoryRecords."""

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
        found = list(islice(_newest_first(self._inbox(user), filter.selects, before), skip, skip + limit + 1))
        return InboxPage(tuple(found[:limit]), self._records.head(inbox_of(user)), more=len(found) > limit)

    async def count(self, user: str, filter: NotificationFilter) -> int:
        return sum(1 for _ in _newest_first(self._inbox(user), filter.selects))

    async def unread_by_type(self, user: str) -> dict[str, int]:
        unread = _newest_first(self._inbox(user), lambda one: one.state.unread)
        return dict(Counter(one.content.type for one in unread))

    async def change(self, user: str, id: UUID, change: StateChange, now: datetime) -> StateChanged | None:
        inbox = self._inbox(user)
        seq = inbox.ids.get(id)
        if seq is None:
            return None
        entries = inbox.change([seq], change, now)
        return StateChanged(entries, self._records.head(inbox_of(user)), inbox.notifications[seq])

    async def change_all(self, user: str, change: StateChange, upto: int, limit: int, now: datetime) -> StateChanged:
        applies = TRANSITIONS[change].before.matches
        return self._change_newest(user, change, lambda one: applies(one.state), upto, limit, now)

    async def see(self, user: str, upto: int) -> SeenMoved:
        return SeenMoved(self._inbox(user).see(upto), self._records.head(inbox_of(user)))

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        muting = sorted(user for user, preferences in self._records.preferences.items() if preferences.muted_types)
        searched = [user for user in muting if after is None or user > after][:limit]
        with_unread = tuple(user for user in searched if self._has_muted_unread(user))
        return MutedUnread(with_unread, searched[-1] if len(searched) == limit else None)

    async def mark_muted_read(self, user: str, limit: int, now: datetime) -> StateChanged:
        last = self._inbox(user).head.last
        return self._change_newest(user, "read", self._is_muted_unread(user), last, limit, now)

    def _change_newest(
        self,
        user: str,
        change: StateChange,
        selects: Callable[[Notification], bool],
        upto: int,
        limit: int,
        now: datetime,
    ) -> StateChanged:
        inbox = self._inbox(user)
        newest = [one.seq for one in islice(_newest_first(inbox, selects, upto + 1), limit)]
        entries = inbox.change(newest[::-1], change, now)
        return StateChanged(entries[::-1], self._records.head(inbox_of(user)))

    def _has_muted_unread(self, user: str) -> bool:
        return any(_newest_first(self._inbox(user), self._is_muted_unread(user)))

    def _is_muted_unread(self, user: str) -> Callable[[Notification], bool]:
        mutes = self._records.preferences.get(user, DEFAULT).mutes
        return lambda one: one.state.unread and one.changed == one.seq and mutes(one.content.type)

    def _inbox(self, user: str) -> Inbox:
        """Returns the user's inbox. If the user has none yet, returns a new empty inbox, which is not stored."""
        return self._records.inboxes.get(inbox_of(user)) or Inbox()


def _newest_first(
    inbox: Inbox, selects: Callable[[Notification], bool], before: int | None = None
) -> Iterator[Notification]:
    end = len(inbox.seqs) if before is None else bisect_left(inbox.seqs, before)
    for index in range(end - 1, -1, -1):
        notification = inbox.notifications[inbox.seqs[index]]
        if selects(notification):
            yield notification
