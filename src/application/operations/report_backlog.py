"""The backlog of the store, for metrics: read at most once in some seconds, however often it is asked for."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from application.ports.backlog_counts import Backlog, PendingDeliveries, Waiting
from application.ports.clock import Clock
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)


class BacklogPolicy(msgspec.Struct, frozen=True):
    """Limits of ReportBacklog. A result is reused for `max_age_s` seconds, and reading one takes at most `timeout_s`
    seconds. `limit` is the greatest number that is counted. `examined` is how many of the oldest pending deliveries are
    examined to find one that should have been sent."""

    max_age_s: float = 15.0
    timeout_s: float = 2.0
    limit: int = 100_000
    examined: int = 10_000


DEFAULT: Final = BacklogPolicy()


class ReportBacklog:
    """Returns what waits in the store. Returns None while the store is unavailable: an old number could hide that the
    backlog grows meanwhile."""

    def __init__(
        self, backlog: Backlog, clock: Clock, channels: Sequence[str], policy: BacklogPolicy = DEFAULT
    ) -> None:
        """`channels` are the outbound channels of this node, which are part of every result."""
        self._backlog = backlog
        self._clock = clock
        self._channels = channels
        self._policy = policy
        self._reading = asyncio.Lock()
        self._latest: Waiting | None = None
        self._read_at: float | None = None  # monotonic

    async def __call__(self) -> Waiting | None:
        async with self._reading:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at >= self._policy.max_age_s:
                self._latest = await self._read()
                self._read_at = self._clock.monotonic()
            return self._latest

    async def _read(self) -> Waiting | None:
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                waiting = await self._backlog.count(self._policy.limit, self._policy.examined)
        except TimeoutError:
            log.warning("backlog_not_read", error=f"no answer within {self._policy.timeout_s:g} s")
            return None
        except Exception as error:
            # The other metrics must be available whatever the cause is.
            trace = None if isinstance(error, StoreUnavailable) else error
            log.warning("backlog_not_read", error=str(error), exc_info=trace)
            return None
        none_wait = {channel: PendingDeliveries() for channel in self._channels}
        return Waiting(none_wait | dict(waiting.deliveries), waiting.dead_letters)
