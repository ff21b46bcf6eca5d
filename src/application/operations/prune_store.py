"""Pruning: deletes rows that exceed their retention, in small steps, so that ingest is not blocked."""

import asyncio
import random
from typing import Final

import msgspec
import structlog

from application.counters import Counters
from application.ports.clock import Clock
from application.ports.retention import Keeping, Retention
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)


class PruningPolicy(msgspec.Struct, frozen=True):
    """The timing of pruning. Every `period_s` seconds, rows are deleted in steps until none exceeds its retention. The
    period varies randomly by up to 25 %, so that nodes do not prune at the same time. `pause_s` is the pause in seconds
    after each step, in which ingest can use the store."""

    period_s: float = 60.0
    pause_s: float = 0.05


DEFAULT: Final = PruningPolicy()


class PruneStore:
    """Deletes the rows that exceed their retention limits (`keeping`), periodically in the background (see
    PruningPolicy)."""

    def __init__(
        self,
        retention: Retention,
        keeping: Keeping,
        clock: Clock,
        counters: Counters,
        policy: PruningPolicy = DEFAULT,
    ) -> None:
        self._retention = retention
        self._keeping = keeping
        self._clock = clock
        self._counters = counters
        self._policy = policy

    async def run(self) -> None:
        """Runs until it is cancelled. If deleting fails, logs the failure and tries again after the next `period_s`."""
        while True:
            try:
                await self._round()
            except StoreUnavailable as error:
                log.warning("prune_failed", error=str(error))
            except Exception:
                log.exception("prune_failed")
            await asyncio.sleep(self._policy.period_s * random.uniform(0.75, 1.25))

    async def _round(self) -> None:
        while True:
            pruned = await self._retention.prune(self._keeping, self._clock.now())
            if pruned.nothing:
                return
            self._counters.pruned["notification"] += pruned.notifications
            self._counters.pruned["broadcast"] += pruned.broadcasts
            self._counters.pruned["dead_letter"] += pruned.dead_letters
            self._counters.pruned["delivery"] += pruned.deliveries
            await asyncio.sleep(self._policy.pause_s)
