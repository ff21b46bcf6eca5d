"""Pruning: deleting rows that exceed their retention, in small steps, so that ingest is not blocked."""

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
    """`period_s`: seconds between two rounds, plus or minus a random quarter, so that nodes do not prune at the same
    time. `pause_s`: seconds between two steps of a round, so that ingest can use the store without conflicts."""

    period_s: float = 60.0
    pause_s: float = 0.05


DEFAULT: Final = PruningPolicy()


class PruneStore:
    """Deletes rows that exceed their retention, step by step until there are none, about every `period_s` seconds."""

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
        """Runs until it is cancelled. Failures are logged, and retried in the next round."""
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
