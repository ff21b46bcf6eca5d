"""The Throttle port, on every adapter. One joins by a line in `THROTTLES`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from adapters.memory.throttle import MemoryThrottle
from application.ports.clock import Clock
from application.ports.throttle import Rate, Throttle
from tests.support.core import HandClock


@asynccontextmanager
async def memory(clock: Clock) -> AsyncIterator[Throttle]:
    yield MemoryThrottle(clock)


THROTTLES: dict[str, Callable[[Clock], AbstractAsyncContextManager[Throttle]]] = {"memory": memory}

RATE = Rate(per_second=2, burst=5)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=THROTTLES)
async def throttle(request: pytest.FixtureRequest, clock: HandClock) -> AsyncIterator[Throttle]:
    async with THROTTLES[request.param](clock) as opened:
        yield opened


async def passed(throttle: Throttle, tries: int, key: str = "k", rate: Rate = RATE, cost: int = 1) -> int:
    return [await throttle.take(key, rate, cost) for _ in range(tries)].count(0.0)


async def test_a_burst_passes_and_no_more(throttle: Throttle) -> None:
    assert await passed(throttle, 50) == 5


async def test_who_waits_as_long_as_told_passes_and_not_before(throttle: Throttle, clock: HandClock) -> None:
    await passed(throttle, 5)
    wait = await throttle.take("k", RATE)
    assert wait == pytest.approx(0.5)
    clock.turn(wait * 0.9)
    assert 0 < await throttle.take("k", RATE) <= wait * 0.2
    clock.turn(wait * 0.1)
    assert await throttle.take("k", RATE) == 0.0
    assert await throttle.take("k", RATE) > 0


@pytest.mark.parametrize("rate", [Rate(0.3, 1), Rate(3, 1), Rate(7, 3), Rate(1 / 3, 2), Rate(1000, 10)])
async def test_waiting_as_told_is_always_enough(throttle: Throttle, clock: HandClock, rate: Rate) -> None:
    clock.turn(12345.678)
    for _ in range(200):
        if wait := await throttle.take("k", rate):
            clock.turn(wait)
            assert await throttle.take("k", rate) == 0.0


async def test_a_refusal_counts_for_nothing(throttle: Throttle, clock: HandClock) -> None:
    await passed(throttle, 5)
    assert await passed(throttle, 100) == 0
    clock.turn(1)
    assert await passed(throttle, 10) == 2


async def test_in_the_long_run_the_rate_holds(throttle: Throttle, clock: HandClock) -> None:
    count = 0
    for _ in range(1_000):
        clock.turn(0.1)
        count += await passed(throttle, 3)
    assert 200 <= count <= 205


async def test_being_quiet_for_long_saves_up_no_more_than_a_burst(throttle: Throttle, clock: HandClock) -> None:
    await passed(throttle, 3)
    clock.turn(1_000_000)
    assert await passed(throttle, 20) == 5


async def test_keys_are_counted_each_for_itself(throttle: Throttle) -> None:
    keys = ["k", "K", "k ", "", "ü😀", "a:b", "a", "*", "x" * 1_000, "{k}"]
    for key in keys:
        assert await passed(throttle, 7, key) == 5
    assert await passed(throttle, 7, "k") == 0


async def test_some_things_cost_more(throttle: Throttle, clock: HandClock) -> None:
    assert await throttle.take("k", RATE, 3) == 0.0
    assert await throttle.take("k", RATE, 3) == pytest.approx(0.5)
    assert await throttle.take("k", RATE, 2) == 0.0
    assert await throttle.take("k", RATE, 4) == pytest.approx(2.0)
    clock.turn(2)
    assert await throttle.take("k", RATE, 4) == 0.0


async def test_what_costs_more_than_a_burst_passes_and_is_paid_for_afterwards(
    throttle: Throttle, clock: HandClock
) -> None:
    assert await throttle.take("k", RATE, 9) == 0.0
    assert await throttle.take("k", RATE) == pytest.approx(2.5)
    assert await throttle.take("k", RATE, 9) == pytest.approx(4.5)
    clock.turn(4.5)
    assert await throttle.take("k", RATE, 9) == 0.0


async def test_those_who_take_at_once_share_one_burst(throttle: Throttle) -> None:
    waits = await asyncio.gather(*(throttle.take("k", RATE) for _ in range(30)))
    assert waits.count(0.0) == 5
