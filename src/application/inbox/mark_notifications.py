"""Marking the notifications of an inbox as read, unread or archived: one, or all."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from application.announce import announce
from application.counters import Counters
from application.inbox.find_position import find_position
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.caller_errors import NotFound
from domain.notification_state import StateChange
from domain.notifications import Notification
from domain.positions import Head
from domain.streams import Entry


class BulkChangePolicy(msgspec.Struct, frozen=True):
    """The limit of MarkNotifications.all: `chunk` is the maximum number of notifications that one transaction changes,
    all at one position. The default is small enough that a notification which arrives for the same inbox waits only
    milliseconds for the transaction, and that the entries at the position, which are always sent together, are not too
    many."""

    chunk: int = 500


DEFAULT: Final = BulkChangePolicy()


class MarkedAll(msgspec.Struct, frozen=True):
    """The result of MarkNotifications.all: `count` is the number of notifications that were changed, `head` the head of
    the inbox afterwards."""

    count: int
    head: Head


class MarkNotifications:
    """Marks notifications of a user's own inbox as read, unread or archived, and publishes the changes to the user's
    sessions on all nodes.

    Requests may be repeated: marking a notification with a state that it has already is a no-op, which takes no
    position and is not published. If publishing fails, the change is stored nevertheless, and sessions receive it when
    their hub next compares its streams with the store. Raises StoreUnavailable.
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

    async def one(self, user: str, id: UUID, change: StateChange) -> tuple[Notification, Head]:
        """Changes one notification. Returns it in its new state, and the head of the inbox afterwards. Raises NotFound
        if the notification does not exist, or if it is archived and the change is `read` or `unread`."""
        changed = await self._inboxes.change(user, id, change, self._clock.now())
        if changed is None or (notification := changed.notification) is None:
            raise NotFound("There is no such notification.")
        if notification.state.archived and change != "archived":
            raise NotFound("This notification is archived.")
        await self._announce(change, changed.entries)
        return notification, changed.head

    async def all(self, user: str, change: StateChange, up_to: int | UUID | None = None) -> MarkedAll:
        """Changes all notifications of the inbox that arrived up to and including `up_to`: a position, or the id of a
        notification. By default, all that have arrived before the call. Later arrivals are not changed, because the
        user has not seen them yet. Raises NotFound if there is no notification with the id. If it raises
        StoreUnavailable, some notifications may have been changed; another call changes the rest."""
        upto = await find_position(self._inboxes, self._store, user, up_to)
        count, chunk = 0, self._policy.chunk
        while True:
            changed = await self._inboxes.change_all(user, change, upto, chunk, self._clock.now())
            await self._announce(change, changed.entries)
            count += len(changed.entries)
            if len(changed.entries) < chunk:
                return MarkedAll(count, changed.head)
            # Newer notifications have been changed already.
            upto = changed.entries[-1].seq - 1

    async def _announce(self, change: StateChange, entries: Sequence[Entry]) -> None:
        self._counters.marked[change] += len(entries)
        if entries:
            await announce(self._backplane, self._counters, entries)
