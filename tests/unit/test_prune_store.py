"""Pruning in rounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from adapters.memory.retention import MemoryRetention
from application.counters import Counters
from application.operations.prune_store import PruneStore, PruningPolicy
from application.ports.retention import Keep, Keeping, Pruned
from application.ports.store import StoreUnavailable
from domain.planning import plan
from tests.support.core import FaultyStore, HandClock, message, table
from tests.support.reading import until

KEEPING = Keeping(
    inbox=Keep(timedelta(days=2), 3),
    feed=Keep(timedelta(days=1), 1000),
    dead_letters=Keep(timedelta(days=4), 1000),
    deliveries=Keep(timedelta(days=5), 1000),
)


class CarefulRetention(MemoryRetention):
    """Prunes one row of each kind per step, fails on request, and counts its steps."""

    def __init__(self, store: FaultyStore) -> None:
        super().__init__(store.records)
        self.faults: list[Exception] = []
        self.steps = 0

    async def prune(self, keeping: Keeping, now: datetime, limit: int = 500) -> Pruned:
        self.steps += 1
        if self.faults:
            raise self.faults.pop()
        return await super().prune(keeping, now, 1)


class Pruning:
    """A store with entries, and the service that prunes it."""

    def __init__(self, policy: PruningPolicy) -> None:
        self.clock = HandClock()
        self.counters = Counters()
        self.store = FaultyStore()
        self.retention = CarefulRetention(self.store)
        self.prune_store = PruneStore(self.retention, KEEPING, self.clock, self.counters, policy)

    async def fill(self, notifications: int = 0, broadcasts: int = 0, dead_letters: int = 0) -> None:
        messages = [message("direct", {"to": "u"}, f"n-{n}") for n in range(notifications)]
        messages += [message("news", "{}", f"b-{n}") for n in range(broadcasts)]
        messages += [message("nowhere", "{}", f"d-{n}") for n in range(dead_letters)]
        await self.store.record([plan(one, table()) for one in messages], self.clock.now())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.prune_store.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def pruning() -> Pruning:
    """A service whose rounds follow one another without delay."""
    return Pruning(PruningPolicy(period_s=0.005, pause_s=0.0))


async def test_a_round_continues_until_nothing_is_due() -> None:
    pruning = Pruning(PruningPolicy(period_s=60, pause_s=0.0))
    await pruning.fill(notifications=5, broadcasts=3, dead_letters=2)
    pruning.clock.turn(3 * 86_400)
    async with pruning.running():
        await until(lambda: pruning.retention.steps == 6)
        await asyncio.sleep(0.05)
    # By age all 5 and all 3; the dead letters are kept one day longer. The last step found nothing.
    assert pruning.counters.pruned == {"notification": 5, "broadcast": 3, "dead_letter": 0, "delivery": 0}
    assert pruning.retention.steps == 6


async def test_rounds_are_repeated(pruning: Pruning) -> None:
    async with pruning.running():
        await pruning.fill(notifications=3)
        await until(lambda: pruning.retention.steps >= 3)
        assert not +pruning.counters.pruned
        pruning.clock.turn(5 * 86_400)
        await pruning.fill(dead_letters=1)
        await until(lambda: pruning.counters.pruned["notification"] == 3)
        pruning.clock.turn(5 * 86_400)
        await until(lambda: pruning.counters.pruned["dead_letter"] == 1)


async def test_entries_above_the_count_limit_are_pruned_whatever_their_age(pruning: Pruning) -> None:
    await pruning.fill(notifications=5)
    async with pruning.running():
        await until(lambda: pruning.counters.pruned["notification"] == 2)
        steps = pruning.retention.steps
        await until(lambda: pruning.retention.steps > steps + 3)
    assert pruning.counters.pruned["notification"] == 2


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), ZeroDivisionError("a mistake of ours")])
async def test_errors_do_not_end_pruning(pruning: Pruning, fault: Exception) -> None:
    await pruning.fill(broadcasts=2)
    pruning.clock.turn(2 * 86_400)
    pruning.retention.faults = [fault, fault]
    async with pruning.running() as task:
        await until(lambda: pruning.counters.pruned["broadcast"] == 2)
        assert not task.done()
