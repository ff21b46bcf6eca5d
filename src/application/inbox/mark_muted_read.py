"""Marking unread notifications of muted types as read, once after the start of a node."""

import asyncio
from typing import Final

import msgspec
import structlog

from application.announce import announce
from application.counters import Counters
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.inboxes import Inboxes
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)


class Pace(msgspec.Struct, frozen=True):
    """Limits and pauses of MarkMutedRead, so that it puts little load on the store.

    - `users`: the maximum number of users that one statement searches.
    - `notifications`: the maximum number of notifications that are marked in one transaction.
    - `pause_s`: the seconds between two statements or transactions.
    - `retry_s`: the seconds before a retry after a failure.
    """

    users: int = 200
    notifications: int = 500
    pause_s: float = 0.05
    retry_s: float = 10.0


PACE: Final = Pace()


class MarkMutedRead:
    """Marks unread notifications as read if their user has muted their type. Runs once after the start of each node.

    Notifications of muted types are stored as read, but an earlier version of Herald stored them as unread, and nodes
    of that version may still run during an upgrade. Notifications that users have marked unread themselves are not
    changed. The changes are published to the users' sessions on all nodes.
    """

    def __init__(
        self, inboxes: Inboxes, backplane: Backplane, clock: Clock, counters: Counters, pace: Pace = PACE
    ) -> None:
        self._inboxes = inboxes
        self._backplane = backplane
        self._clock = clock
        self._counters = counters
        self._pace = pace

    async def run(self) -> None:
        """Marks the unread notifications of muted types in all inboxes as read, and returns when there are none left.
        After a failure, logs it and begins again after `retry_s` seconds."""
        while True:
            try:
                marked = await self()
            except StoreUnavailable as error:
                log.warning("read_muted_failed", error=str(error))
            except Exception:
                log.exception("read_muted_failed")
            else:
                if marked:
                    log.info("muted_notifications_read", count=marked)
                return
            await asyncio.sleep(self._pace.retry_s)

    async def __call__(self) -> int:
        """Marks the unread notifications of muted types in all inboxes as read. Returns their number. If it raises
        StoreUnavailable, some notifications may have been marked."""
        marked, after = 0, None
        while True:
            found = await self._inboxes.find_muted_unread(after, self._pace.users)
            for user in found.users:
                marked += await self._read(user)
            after = found.next
            if after is None:
                return marked
            await asyncio.sleep(self._pace.pause_s)

    async def _read(self, user: str) -> int:
        count = 0
        while True:
            marked = await self._inboxes.mark_muted_read(user, self._pace.notifications, self._clock.now())
            count += len(marked.entries)
            self._counters.marked["read"] += len(marked.entries)
            if marked.entries:
                await announce(self._backplane, self._counters, marked.entries)
            if len(marked.entries) < self._pace.notifications:
                return count
            await asyncio.sleep(self._pace.pause_s)
