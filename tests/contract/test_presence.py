"""The Presence port, on every adapter: three nodes. A new adapter needs one line in `NODES`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest

from adapters.memory.presence import MemoryPresence, Roll
from adapters.redis.presence import EXPIRE_AFTER_S, RedisPresence
from application.ports.presence import Presence
from tests.support.core import FaultyStore
from tests.support.reading import until
from tests.support.redis import Deaf, RealRedis, connected

# Tests of adapters that need Redis call this for its address and the prefix.
Place = tuple[Callable[[], RealRedis], str]

USERS = ["ada", "", "*", "a b", "ü😀", "a:b", "0", "x" * 1_000, "node:1", "{a}"]


@asynccontextmanager
async def memory(_: Place) -> AsyncIterator[list[Presence]]:
    roll: Roll = []
    yield [MemoryPresence(roll) for _ in range(3)]


@asynccontextmanager
async def redis(place: Place) -> AsyncIterator[list[Presence]]:
    store = FaultyStore()
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(redis_node(place[0](), place[1], store)) for _ in range(3)]


@asynccontextmanager
async def redis_node(server: RealRedis, prefix: str, store: FaultyStore) -> AsyncIterator[Presence]:
    async with connected(server.settings(prefix), store) as (connections, backplane):
        await backplane.open(Deaf())
        await until(lambda: connections.fault is None, what=lambda: connections.fault)
        yield RedisPresence(connections)


NODES: dict[str, Callable[[Place], AbstractAsyncContextManager[list[Presence]]]] = {"memory": memory, "redis": redis}


@pytest.fixture(params=NODES)
async def nodes(request: pytest.FixtureRequest, redis_prefix: str) -> AsyncIterator[list[Presence]]:
    async with NODES[request.param]((lambda: request.getfixturevalue("real_redis"), redis_prefix)) as opened:
        yield opened


async def test_sessions_on_other_nodes_are_counted_without_the_nodes_own(nodes: list[Presence]) -> None:
    one, two, three = nodes
    assert await one.enter("ada", 1) == 0
    assert await one.enter("ada", 2) == 0
    assert await two.enter("ada", 5) == 2
    assert await three.enter("ada", 1) == 7
    assert await one.enter("ada", 3) == 6
    assert await two.enter("ada", 5) == 4


async def test_sessions_are_counted_per_user(nodes: list[Presence]) -> None:
    one, two, _ = nodes
    for number, user in enumerate(USERS, 1):
        assert await one.enter(user, number) == 0
    assert [await two.enter(user, 1) for user in USERS] == list(range(1, len(USERS) + 1))


async def test_a_later_report_of_a_node_replaces_the_earlier(nodes: list[Presence]) -> None:
    one, two, three = nodes
    await one.enter("ada", 3)
    await one.enter("bob", 3)
    await one.update({"ada": 2, "bob": 1, "eve": 4})
    assert [await two.enter(user, 1) for user in ("ada", "bob", "eve")] == [2, 1, 4]
    await two.update({"ada": 9})
    assert await three.enter("ada", 1) == 11


async def test_users_who_left_are_no_longer_counted(nodes: list[Presence]) -> None:
    one, two, three = nodes
    await one.enter("ada", 3)
    await two.enter("ada", 2)
    await one.update({"ada": 0, "never": 0})
    assert await three.enter("ada", 1) == 2
    assert await three.enter("never", 1) == 0
    await two.enter("ada", 0)
    assert await one.enter("ada", 1) == 1


async def test_an_empty_update_succeeds(nodes: list[Presence]) -> None:
    assert await nodes[0].update({}) is True


async def test_many_users_concurrently(nodes: list[Presence]) -> None:
    one, two, _ = nodes
    users = [f"user-{number}" for number in range(2_000)]
    assert sum(await asyncio.gather(*(one.enter(user, 1) for user in users))) == 0
    assert await one.update(dict.fromkeys(users[:1_500], 2)) is True
    assert sum(await asyncio.gather(*(two.enter(user, 1) for user in users))) == 3_500
    await one.update(dict.fromkeys(users, 0))
    assert sum(await asyncio.gather(*(two.enter(user, 1) for user in users))) == 0


async def test_sessions_of_a_node_that_died_are_no_longer_counted(real_redis: RealRedis, redis_prefix: str) -> None:
    store = FaultyStore()
    async with redis_node(real_redis, redis_prefix, store) as here:
        async with redis_node(real_redis, redis_prefix, store) as dying:
            await dying.enter("ada", 5)
            await dying.enter("bob", 5)
            assert await here.enter("ada", 1) == 5
        # It did not sign off, but its connection has ended.
        async with asyncio.timeout(20):
            while await here.enter("ada", 1):
                await asyncio.sleep(0.02)
        # Its reports are deleted, except for users who were not queried since.
        epoch = await store.epoch()
        assert await real_redis.ask("HVALS", f"{redis_prefix}:{epoch}:sessions:ada") == [b"1"]
        await here.update({"ada": 0, "bob": 0})
        assert await real_redis.ask("KEYS", f"{redis_prefix}:*") == []


async def test_records_in_redis_expire(real_redis: RealRedis, redis_prefix: str) -> None:
    async with redis_node(real_redis, redis_prefix, FaultyStore()) as here:
        await here.enter("ada", 1)
        await here.update({"bob": 1})
        keys = await real_redis.ask("KEYS", f"{redis_prefix}:*")
        lives = [await real_redis.ask("TTL", key) for key in keys]
        assert len(lives) == 2
        assert all(0 < seconds <= EXPIRE_AFTER_S for seconds in lives)


async def test_nodes_on_another_store_are_counted_separately(real_redis: RealRedis, redis_prefix: str) -> None:
    async with (
        redis_node(real_redis, redis_prefix, FaultyStore()) as here,
        redis_node(real_redis, redis_prefix, FaultyStore()) as there,
    ):
        await here.enter("ada", 5)
        assert await there.enter("ada", 1) == 0
