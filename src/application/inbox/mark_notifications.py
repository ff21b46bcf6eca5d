"""Marking what is in an inbox: read, unread, archived; one, or all."""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

from application.announce import announce
from application.counters import Counters
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.inboxes import Inboxes, Marked
from application.ports.store import Store
from domain.errors import NotFound
from domain.notifications import Mark, Notification
from domain.streams import Entry, inbox_of

# Notifications that a mass act marks in one transaction, at one position: few enough that what arrives for the same
# inbox waits for milliseconds only, and that a catch-up page, which never ends inside a position, stays a page.
CHUNK: Final = 500


class MarkedAll(msgspec.Struct, frozen=True):
    """How many a mass act has changed, and the inbox's unread total after it."""

    count: int
    unread: int


class MarkNotifications:
    """Marks notifications of a user, and tells all of that user's sessions on every node.

    What is marked so already stays as it is, takes no position and is told to nobody: every act may be repeated. What
    is archived has left the inbox: to mark it read or unread is NotFound, to archive it again is not. A failed publish
    undoes nothing: the hubs find what was not published by themselves. Raises StoreUnavailable, for a mass act
    possibly after a part of it was done; what is left is done by repeating it.
    """

    def __init__(self, inboxes: Inboxes, store: Store, backplane: Backplane, clock: Clock, counters: Counters) -> None:
        self._inboxes = inboxes
        self._store = store
        self._backplane = backplane
        self._clock = clock
        self._counters = counters

    async def one(self, user: str, id: UUID, mark: Mark) -> tuple[Notification, int]:
        """Marks one; returns it as it stands, and the inbox's unread total."""
        marked = await self._inboxes.mark(user, id, mark, self._clock.now())
        if marked is None or (notification := marked.notification) is None:
            raise NotFound("There is no such notification.")
        if notification.archived and mark != "archived":
            raise NotFound("This notification is archived.")
        await self._announce(mark, marked.entries)
        return notification, marked.unread

    async def all(self, user: str, mark: Literal["read", "archived"], up_to: int | UUID | None = None) -> MarkedAll:
        """Marks all that arrived up to `up_to`, a position or a notification's id (NotFound if it is not there); up
        to now without one. What arrives meanwhile is not touched: nobody has seen it yet."""
        upto = await self._position(user, up_to)
        count = 0
        while True:
            marked: Marked = await self._inboxes.mark_all(user, mark, upto, CHUNK, self._clock.now())
            await self._announce(mark, marked.entries)
            count += len(marked.entries)
            if len(marked.entries) < CHUNK:
                return MarkedAll(count, marked.unread)
            # What is newer is done, and need not be looked at again.
            upto = marked.entries[-1].seq - 1

    async def _position(self, user: str, up_to: int | UUID | None) -> int:
        if isinstance(up_to, UUID):
            found = await self._inboxes.get(user, up_to)
            if found is None:
                raise NotFound("There is no notification with the id that up_to names.")
            return found.seq
        stream = inbox_of(user)
        last = (await self._store.heads([stream]))[stream].last
        return last if up_to is None else min(up_to, last)

    async def _announce(self, mark: Mark, entries: Sequence[Entry]) -> None:
        self._counters.marked[mark] += len(entries)
        if entries:
            await announce(self._backplane, self._counters, entries)
