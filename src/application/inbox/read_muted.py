"""Marking unread notifications of muted types as read, at the start of a node."""

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
    """How the work is spread: the maximum number of users searched by one statement and of notifications marked in one
    transaction, and the seconds between two steps and before a retry after a failure."""

    users: int = 200
    notifications: int = 500
    pause_s: float = 0.05
    retry_s: float = 10.0


PACE: Final = Pace()


class ReadMuted:
    """Marks unread notifications of types that their users mute as read, in chunks, until there are none.

    Such notifications are stored as read, but nodes of an earlier version stored them as unread, and may still be
    running. So each node searches for them once after its start. Notifications that a user has marked unread stay
    unread. All of a user's sessions are notified of each change.
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
        """Runs until all such notifications are read. Failures are logged and retried."""
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
        """Searches all users once. Returns the number of notifications marked. Raises StoreUnavailable; some may have
        been marked by then."""
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
            marked = await self._inboxes.read_muted(user, self._pace.notifications, self._clock.now())
            count += len(marked.entries)
            self._counters.marked["read"] += len(marked.entries)
            if marked.entries:
                await announce(self._backplane, self._counters, marked.entries)
            if len(marked.entries) < self._pace.notifications:
                return count
            await asyncio.sleep(self._pace.pause_s)
