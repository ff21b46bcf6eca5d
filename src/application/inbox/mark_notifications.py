"""Marking notifications of an inbox read, unread or archived: one, or all."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from application.announce import announce
from application.counters import Counters
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.errors import NotFound
from domain.notification_state import StateChange
from domain.notifications import Notification
from domain.streams import Entry, inbox_of


class BulkChangePolicy(msgspec.Struct, frozen=True):
    """`chunk`: the number of notifications changed in one transaction, at one position. It is small enough that
    arrivals for the same inbox wait only milliseconds, and that a catch-up page, which never ends inside a position,
    does not become too large."""

    chunk: int = 500


DEFAULT: Final = BulkChangePolicy()


class MarkedAll(msgspec.Struct, frozen=True):
    """The number of notifications that have changed, and the inbox's unread total afterwards."""

    count: int
    unread: int


class MarkNotifications:
    """Changes the state of a user's notifications, and notifies all of that user's sessions on every node.

    Every change may be repeated: a no-op takes no position and is not published. An archived notification can't be
    marked read or unread (NotFound); archiving it again is a no-op. If publishing fails, the change stays committed,
    and the hubs read the entries from the store at the next comparison. Raises StoreUnavailable. `all` may have changed
    some notifications by then; call it again to change the rest.
    """

    def __init__(
        self,
        inboxes: Inboxes,
        store: Store,
        backplane: Backplane,
        clock: Clock,
        counters: Counters,
        policy: BulkChangePolicy = DEFAULT,
    ) -> None:
        self._inboxes = inboxes
        self._store = store
        self._backplane = backplane
        self._clock = clock
        self._counters = counters
        self._policy = policy

    async def one(self, user: str, id: UUID, change: StateChange) -> tuple[Notification, int]:
        """Changes one notification. Returns it in its new state, and the inbox's unread total. Raises NotFound if it
        does not exist, or is archived."""
        changed = await self._inboxes.change(user, id, change, self._clock.now())
        if changed is None or (notification := changed.notification) is None:
            raise NotFound("There is no such notification.")
        if notification.state.archived and change != "archived":
            raise NotFound("This notification is archived.")
        await self._announce(change, changed.entries)
        return notification, changed.unread

    async def all(self, user: str, change: StateChange, up_to: int | UUID | None = None) -> MarkedAll:
        """Changes all notifications that arrived up to `up_to`, a position or the id of a notification (NotFound if it
        does not exist); by default all that have arrived by now. Later arrivals are not changed, because the user has
        not seen them yet."""
        upto = await self._position(user, up_to)
        count, chunk = 0, self._policy.chunk
        while True:
            changed = await self._inboxes.change_all(user, change, upto, chunk, self._clock.now())
            await self._announce(change, changed.entries)
            count += len(changed.entries)
            if len(changed.entries) < chunk:
                return MarkedAll(count, changed.unread)
            # Newer notifications have been changed already.
            upto = changed.entries[-1].seq - 1

    async def _position(self, user: str, up_to: int | UUID | None) -> int:
        if isinstance(up_to, UUID):
            notification = await self._inboxes.get(user, up_to)
            if notification is None:
                raise NotFound("The notification whose id is given as up_to does not exist.")
            return notification.seq
        stream = inbox_of(user)
        last = (await self._store.heads([stream]))[stream].last
        return last if up_to is None else min(up_to, last)

    async def _announce(self, change: StateChange, entries: Sequence[Entry]) -> None:
        self._counters.marked[change] += len(entries)
        if entries:
            await announce(self._backplane, self._counters, entries)
