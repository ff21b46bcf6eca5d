"""The Throttle port, on every adapter. A new adapter needs one line in `THROTTLES`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis import Redis

from adapters.memory.throttle import MemoryThrottle
from adapters.redis.throttle import RedisThrottle
from application.ports.throttle import Rate, Throttle
from tests.support.core import FaultyStore, HandClock
from tests.support.reading import until
from tests.support.redis import Deaf, RealRedis, connected

# Seconds until one more request passes: long compared with the running time of a test.
TOKEN = 500.0

RATE = Rate(per_second=1 / TOKEN, burst=5)

# Ages every key of a prefix by the given number of microseconds. KEYS[1] is the prefix.
_AGE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. ':*')) do
    local full_at = redis.call('GET', key) - ARGV[1]
    local lives = redis.call('PTTL', key) - ARGV[1] / 1000
    if lives < 1 then redis.call('DEL', key) else
        redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil(lives))
    end
end
"""


class RedisClock(HandClock):
    """A controllable clock for Redis, which uses its own time: advancing it ages the stored keys."""

    def __init__(self, port: int, prefix: str) -> None:
        super().__init__()
        self._client = Redis(port=port)
        self._age = self._client.register_script(_AGE)
        self._prefix = prefix

    def turn(self, seconds: float) -> None:
        super().turn(seconds)
        self._age(keys=[self._prefix], args=[int(seconds * 1_000_000)])

    def close(self) -> None:
        self._client.close()


class Otherwise:
    """A fallback throttle that must not be called."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        raise AssertionError("Redis was not asked")


# Tests of adapters that need Redis call this for its address and the prefix.
Place = tuple[Callable[[], RealRedis], str]
Opened = tuple[Throttle, HandClock]


@asynccontextmanager
async def memory(_: Place) -> AsyncIterator[Opened]:
    clock = HandClock()
    yield MemoryThrottle(clock), clock


@asynccontextmanager
async def redis(place: Place) -> AsyncIterator[Opened]:
    server, prefix = place[0](), place[1]
    clock = RedisClock(server.port, prefix)
    async with redis_throttle(server, prefix, FaultyStore()) as throttle:
        yield throttle, clock
    clock.close()


@asynccontextmanager
async def redis_throttle(server: RealRedis, prefix: str, store: FaultyStore) -> AsyncIterator[Throttle]:
    async with connected(server.settings(prefix), store) as (connections, backplane):
        await backplane.open(Deaf())
        await until(lambda: connections.fault is None, what=lambda: connections.fault)
        yield RedisThrottle(connections, Otherwise())


THROTTLES: dict[str, Callable[[Place], AbstractAsyncContextManager[Opened]]] = {"memory": memory, "redis": redis}


@pytest.fixture(params=THROTTLES)
async def opened(request: pytest.FixtureRequest, redis_prefix: str) -> AsyncIterator[Opened]:
    async with THROTTLES[request.param]((lambda: request.getfixturevalue("real_redis"), redis_prefix)) as made:
        yield made


@pytest.fixture
def throttle(opened: Opened) -> Throttle:
    return opened[0]


@pytest.fixture
def clock(opened: Opened) -> HandClock:
    return opened[1]


def about(tokens: float) -> object:
    """Return the number of seconds that so many operations take, approximately."""
    return pytest.approx(tokens * TOKEN, abs=TOKEN / 20)


async def passed(throttle: Throttle, tries: int, key: str = "k", rate: Rate = RATE, cost: int = 1) -> int:
    return [await throttle.take(key, rate, cost) for _ in range(tries)].count(0.0)


async def test_exactly_one_burst_passes(throttle: Throttle) -> None:
    assert await passed(throttle, 50) == 5


async def test_a_request_passes_after_the_retry_delay_and_not_before(throttle: Throttle, clock: HandClock) -> None:
    await passed(throttle, 5)
    wait = await throttle.take("k", RATE)
    assert wait == about(1)
    clock.turn(wait * 0.9)
    assert 0 < await throttle.take("k", RATE) <= wait * 0.2
    clock.turn(wait * 0.1)
    assert await throttle.take("k", RATE) == 0.0
    assert await throttle.take("k", RATE) > 0


@pytest.mark.parametrize("rate", [Rate(0.3, 1), Rate(3, 1), Rate(7, 3), Rate(1 / 3, 2), Rate(1000, 10)])
async def test_the_retry_delay_is_always_sufficient(throttle: Throttle, clock: HandClock, rate: Rate) -> None:
    clock.turn(12345.678)
    for _ in range(200):
        if wait := await throttle.take("k", rate):
            clock.turn(wait)
            assert await throttle.take("k", rate) == 0.0


async def test_a_refused_request_costs_nothing(throttle: Throttle, clock: HandClock) -> None:
    await passed(throttle, 5)
    assert await passed(throttle, 100) == 0
    clock.turn(2 * TOKEN)
    assert await passed(throttle, 10) == 2


async def test_the_long_term_rate_is_kept(throttle: Throttle, clock: HandClock) -> None:
    count = 0
    for _ in range(500):
        clock.turn(TOKEN / 5)
        count += await passed(throttle, 3)
    assert 100 <= count <= 105


async def test_idle_time_accumulates_at_most_one_burst(throttle: Throttle, clock: HandClock) -> None:
    await passed(throttle, 3)
    clock.turn(1_000_000 * TOKEN)
    assert await passed(throttle, 20) == 5


async def test_keys_are_counted_separately(throttle: Throttle) -> None:
    keys = ["k", "K", "k ", "", "ü😀", "a:b", "a", "*", "x" * 1_000, "{k}"]
    for key in keys:
        assert await passed(throttle, 7, key) == 5
    assert await passed(throttle, 7, "k") == 0


async def test_requests_may_have_different_costs(throttle: Throttle, clock: HandClock) -> None:
    assert await throttle.take("k", RATE, 3) == 0.0
    assert await throttle.take("k", RATE, 3) == about(1)
    assert await throttle.take("k", RATE, 2) == 0.0
    assert await throttle.take("k", RATE, 4) == about(4)
    clock.turn(4 * TOKEN)
    assert await throttle.take("k", RATE, 4) == 0.0


async def test_a_request_above_the_burst_passes_and_is_paid_afterwards(throttle: Throttle, clock: HandClock) -> None:
    assert await throttle.take("k", RATE, 9) == 0.0
    assert await throttle.take("k", RATE) == about(5)
    assert await throttle.take("k", RATE, 9) == about(9)
    clock.turn(9 * TOKEN)
    assert await throttle.take("k", RATE, 9) == 0.0


async def test_concurrent_requests_share_one_burst(throttle: Throttle) -> None:
    waits = await asyncio.gather(*(throttle.take("k", RATE) for _ in range(30)))
    assert waits.count(0.0) == 5


async def test_nodes_share_one_burst(real_redis: RealRedis, redis_prefix: str) -> None:
    store = FaultyStore()
    async with (
        redis_throttle(real_redis, redis_prefix, store) as here,
        redis_throttle(real_redis, redis_prefix, store) as there,
    ):
        waits = await asyncio.gather(*(node.take("k", RATE) for _ in range(10) for node in (here, there)))
        assert waits.count(0.0) == 5
        assert min(filter(None, waits)) == about(1)
        assert await passed(there, 7, "other") + await passed(here, 7, "other") == 5


async def test_redis_keeps_a_bucket_only_until_it_is_full(real_redis: RealRedis, redis_prefix: str) -> None:
    async with redis_throttle(real_redis, redis_prefix, FaultyStore()) as throttle:
        wait = 0.0
        while not wait:
            wait = await throttle.take("k", Rate(per_second=10, burst=3))
        await asyncio.sleep(wait)
        assert await throttle.take("k", Rate(per_second=10, burst=3)) == 0.0
        # Whatever time passed during the test, a bucket is full again after the time for one burst.
        kept = [await real_redis.ask("PTTL", key) for key in await real_redis.ask("KEYS", f"{redis_prefix}:*")]
        assert all(lives != -1 and lives <= 302 for lives in kept)

        async def gone() -> bool:
            return not await real_redis.ask("KEYS", f"{redis_prefix}:*")

        async with asyncio.timeout(20):
            while not await gone():
                await asyncio.sleep(0.02)


async def test_thousands_of_concurrent_requests_are_counted_by_redis(real_redis: RealRedis, redis_prefix: str) -> None:
    """They do not delay the heartbeat of a node, which would mark Redis as unavailable."""
    async with redis_throttle(real_redis, redis_prefix, FaultyStore()) as throttle:
        waits = await asyncio.gather(*(throttle.take(f"k-{number % 1_000}", RATE) for number in range(10_000)))
        assert waits.count(0.0) == 5_000
