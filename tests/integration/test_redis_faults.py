"""The Redis adapters on a real server, under faults."""

import asyncio
import contextlib
import gc
import logging
import random
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.memory.throttle import MemoryThrottle
from adapters.redis.backplane import RedisBackplane
from adapters.redis.command_types import RedisUnavailable
from adapters.redis.connections import COMMAND_TIMEOUT_S, Connections
from adapters.redis.presence import RedisPresence
from adapters.redis.settings import RedisSettings
from adapters.redis.subscriber import Subscriber
from adapters.redis.throttle import RedisThrottle
from application.announce import announce
from application.counters import Counters
from application.ports.backplane import Backplane, BackplaneUnavailable
from application.ports.throttle import Rate
from domain.broker_messages import Message
from domain.streams import Entry, SignOut
from tests.support.core import NOW, FaultyStore, HandClock, Node, Reader, entry
from tests.support.reading import until
from tests.support.redis import Deaf, RealRedis, connected

# Slack in seconds for a busy machine.
SLACK = 3.0

RATE = Rate(per_second=0.001, burst=5)


@pytest.fixture
async def redis(real_redis: RealRedis) -> AsyncIterator[RealRedis]:
    """The shared server. It is started again after the test."""
    yield real_redis
    if not real_redis.running:
        await asyncio.to_thread(real_redis.start)


async def up(backplane: Backplane) -> None:
    await until(lambda: backplane.fault is None, what=lambda: backplane.fault)


async def down(backplane: Backplane) -> str:
    await until(lambda: backplane.fault is not None)
    assert backplane.fault is not None
    return backplane.fault


async def says(backplane: Backplane, *words: str) -> None:
    """Wait until the backplane reports a fault that contains one of these texts."""
    await until(lambda: any(one in str(backplane.fault) for one in words), what=lambda: backplane.fault)


@asynccontextmanager
async def opened(
    settings: RedisSettings, listener: Any = None, store: FaultyStore | None = None
) -> AsyncIterator[tuple[Connections, RedisBackplane]]:
    """Open the connections and backplane of one node, whether Redis is available or not."""
    async with connected(settings, store or FaultyStore()) as (connections, backplane):
        await backplane.open(listener or Deaf())
        yield connections, backplane


@asynccontextmanager
async def joined(settings: RedisSettings, count: int = 2) -> AsyncIterator[list[Node]]:
    """Nodes on one store, with running hubs."""
    store = FaultyStore()
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(count):
            counters = Counters()
            _, backplane = await stack.enter_async_context(connected(settings, store, counters))
            nodes.append(await Node(store, backplane).start())
            nodes[-1].counters.backplane = counters.backplane
        running = [asyncio.create_task(node.hub.run()) for node in nodes]
        try:
            yield nodes
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def say(node: Node, *messages: Message) -> None:
    """Store messages, then try to publish them, as ingest does."""
    recorded = await node.record(*messages)
    await announce(node.backplane, node.counters, recorded.entries, recorded.sign_outs)


async def has(reader: Reader, *texts: Any) -> None:
    """Wait until the reader has these texts, each once and in order."""
    await until(lambda: len(reader.texts) >= len(texts), what=lambda: reader.texts[-10:])
    assert reader.texts == [*texts]


class Heard(Deaf):
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls: list[list[int]] = []
        self.users: list[str] = []

    def arrived(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        self.calls.append([one.changed for one in entries])

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        self.users += [one.user for one in sign_outs]


class TestOutages:
    async def test_nodes_serve_their_own_sessions_until_redis_is_available(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        await asyncio.to_thread(redis.stop)
        async with joined(redis.settings(redis_prefix)) as (here, there):
            await until(
                lambda: "Connect call failed" in (here.backplane.fault or ""), what=lambda: here.backplane.fault
            )
            own, other = Reader(here, await here.open("ada")), Reader(there, await there.open("ada"))
            with pytest.raises(BackplaneUnavailable, match="Connect call failed"):
                await here.send(here.direct("ada", 1))
            await until(lambda: own.texts == [1])
            # From the store.
            await has(other, 1)
            await asyncio.to_thread(redis.start)
            await up(here.backplane)
            await up(there.backplane)
            healed = there.counters.healed
            await here.send(here.direct("ada", 2))
            await has(other, 1, 2)
            assert there.counters.backplane["received"] == 1
            assert there.counters.healed == healed

    @pytest.mark.parametrize("how", ["kill9", "stop"])
    async def test_hundreds_of_subscriptions_survive_a_restart_without_loss(
        self, redis: RealRedis, redis_prefix: str, how: str
    ) -> None:
        users = [f"user-{number}" for number in range(300)]
        async with joined(redis.settings(redis_prefix)) as (here, there):
            await up(here.backplane)
            await up(there.backplane)
            readers = [Reader(there, await there.open(user)) for user in users]

            async def all_have(count: int) -> None:
                await until(lambda: all(len(reader.texts) >= count for reader in readers))
                assert all(reader.texts == [*range(count)] for reader in readers)

            await say(here, *(here.direct(user, 0) for user in users))
            await all_have(1)
            await asyncio.to_thread(getattr(redis, how))
            await say(here, *(here.direct(user, 1) for user in users))
            await down(there.backplane)
            await all_have(2)
            await say(here, *(here.direct(user, 2) for user in users))
            await all_have(3)
            await asyncio.to_thread(redis.start)
            await say(here, *(here.direct(user, 3) for user in users))
            await up(there.backplane)
            await up(here.backplane)
            await all_have(4)
            # By subscriptions that were restored automatically.
            received = there.counters.backplane["received"]
            await here.send(*(here.direct(user, 4) for user in users))
            await all_have(5)
            await until(lambda: there.counters.backplane["received"] == received + 300)

    async def test_calls_during_an_outage_of_redis_return_immediately_without_errors(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with opened(redis.settings(redis_prefix)) as (connections, backplane):
            throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
            presence = RedisPresence(connections)
            await up(backplane)
            assert [await throttle.take("k", RATE) for _ in range(4)] == [0.0] * 4
            await asyncio.to_thread(redis.kill9)
            await down(backplane)
            began = time.monotonic()
            # The node uses its local fallback now.
            assert [await throttle.take("k", RATE) for _ in range(200)].count(0.0) == 5
            assert [await presence.enter("ada", 1) for _ in range(200)] == [0] * 200
            assert await presence.update({"ada": 0}) is False
            await backplane.subscribe(["feed:news"])
            assert time.monotonic() - began < SLACK
            await asyncio.to_thread(redis.start)
            await up(backplane)
            assert [await throttle.take("k", RATE) for _ in range(9)].count(0.0) == 5

    async def test_concurrent_publishing_while_connections_break_repeatedly(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with joined(redis.settings(redis_prefix)) as (here, there):
            await up(here.backplane)
            await up(there.backplane)
            reader = Reader(there, await there.open(feeds=("news",)))

            async def publish() -> None:
                for _ in range(20):
                    # Stored sequentially, published concurrently.
                    recorded = await here.record(*(here.news(0) for _ in range(3)))
                    await announce(here.backplane, here.counters, recorded.entries)
                    await asyncio.sleep(0.01)

            publishing = asyncio.gather(*(publish() for _ in range(10)))
            cut = 0
            while not publishing.done():
                cut += await redis.cut("pubsub") + await redis.cut("normal")
                await asyncio.sleep(0.1)
            await publishing
            assert cut >= 4
            await until(lambda: len(reader.texts) >= 600, what=lambda: len(reader.texts))
            assert [one["seq"] for one in await whole(here)] == list(range(1, 601))
            assert len(reader.texts) == 600


async def whole(node: Node) -> list[dict[str, int]]:
    page = await node.store.arrivals("feed:news", 0, 10_000)
    return [{"seq": one.seq} for one in page.entries]


class TestFrozen:
    async def test_only_the_first_calls_wait_for_a_frozen_redis_and_missed_entries_are_recovered(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with (
            joined(redis.settings(redis_prefix)) as (here, there),
            opened(redis.settings(redis_prefix)) as (connections, backplane),
        ):
            throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
            presence = RedisPresence(connections)
            for one in (here.backplane, there.backplane, backplane):
                await up(one)
            reader = Reader(there, await there.open(feeds=("news",)))
            await say(here, here.news(0))
            await has(reader, 0)
            with redis.frozen():
                began = time.monotonic()
                waits, *_ = await asyncio.gather(
                    asyncio.gather(*(throttle.take("k", RATE) for _ in range(1_000))),
                    asyncio.gather(*(presence.enter(f"user-{number}", 1) for number in range(1_000))),
                    presence.update({"ada": 1}),
                    *(say(here, here.news(number)) for number in range(1, 21)),
                )
                assert time.monotonic() - began < COMMAND_TIMEOUT_S + SLACK
                assert waits.count(0.0) == 5
                await down(backplane)
                began = time.monotonic()
                for number in range(21, 41):
                    await say(here, here.news(number))
                    assert await throttle.take("k", RATE)
                assert time.monotonic() - began < COMMAND_TIMEOUT_S
                assert here.counters.publish_failures == 40
                # Redis is still frozen.
                await has(reader, *range(41))
            for one in (here.backplane, there.backplane, backplane):
                await up(one)
            await here.send(here.news(41))
            await has(reader, *range(42))

    async def test_the_heartbeat_detects_a_frozen_redis_without_other_traffic(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with opened(redis.settings(redis_prefix)) as (_, backplane):
            await up(backplane)
            with redis.frozen():
                assert "Timeout reading" in await down(backplane)
            await up(backplane)

    async def test_entries_of_one_position_arrive_all_or_not_at_all(self, redis: RealRedis, redis_prefix: str) -> None:
        heard, store = Heard(), FaultyStore()
        act = [entry("x" * 10_000, stream="inbox:ada", seq=seq, changed=501, kind="read") for seq in range(1, 501)]
        async with (
            opened(redis.settings(redis_prefix), heard, store) as (_, here),
            opened(redis.settings(redis_prefix), None, store) as (_, there),
        ):
            await up(here)
            await up(there)
            await here.subscribe(["inbox:ada"])
            with redis.frozen():
                # More than the socket buffers hold: the remainder is never written.
                with pytest.raises(BackplaneUnavailable):
                    await there.publish(act, ())
                assert there.fault is not None
            await up(there)
            await up(here)
            await there.publish([entry(stream="inbox:ada", seq=502)], [SignOut("mark", NOW)])
            await until(lambda: "mark" in heard.users)
            assert [call.count(501) for call in heard.calls if 501 in call] in ([], [500])

    @pytest.mark.parametrize("tls", [False, True])
    async def test_a_node_closes_within_seconds_and_leaks_nothing(
        self, redis: RealRedis, redis_prefix: str, tls: bool
    ) -> None:
        more = {"url": f"rediss://127.0.0.1:{redis.tls_port}", "cafile": redis.cafile} if tls else {}
        before = asyncio.all_tasks()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            async with AsyncExitStack() as stack:
                connections, backplane = await stack.enter_async_context(opened(redis.settings(redis_prefix, **more)))
                await up(backplane)
                throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
                assert await throttle.take("k", RATE) == 0.0
                with redis.frozen():
                    asking = asyncio.create_task(throttle.take("k", RATE))
                    publishing = asyncio.create_task(backplane.publish([entry()], ()))
                    await asyncio.sleep(0.05)
                    began = time.monotonic()
                    await stack.aclose()
                    assert time.monotonic() - began < COMMAND_TIMEOUT_S + SLACK
                    assert await asking == 0.0
                    with pytest.raises(BackplaneUnavailable):
                        await publishing
            await until(lambda: asyncio.all_tasks() <= before, what=lambda: asyncio.all_tasks() - before)
            del connections, backplane, throttle, asking, publishing
            gc.collect()
        assert [str(one.message) for one in told if issubclass(one.category, ResourceWarning)] == []


class TestDisconnects:
    async def test_a_disconnected_subscriber_reconnects_with_all_its_subscriptions(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with joined(redis.settings(redis_prefix)) as (here, there):
            await up(here.backplane)
            await up(there.backplane)
            reader = Reader(there, await there.open("ada"))
            before = await redis.clients("pubsub")
            assert await redis.cut("pubsub") == 2
            await say(here, here.direct("ada", 1))
            # The outage may be too short for the hub to see the fault, but the hub sees the number of outages.
            await has(reader, 1)
            await until(lambda: there.backplane.outages == 2, what=lambda: there.backplane.outages)
            async with asyncio.timeout(20):
                while len(set(await redis.clients("pubsub")) - set(before)) < 2:
                    await asyncio.sleep(0.02)
            await up(here.backplane)
            await up(there.backplane)
            received = there.counters.backplane["received"]
            await here.send(here.direct("ada", 2))
            await has(reader, 1, 2)
            await until(lambda: there.counters.backplane["received"] > received)

    async def test_a_disconnected_sender_sends_again(self, redis: RealRedis, redis_prefix: str) -> None:
        heard = Heard()
        async with opened(redis.settings(redis_prefix), heard) as (connections, backplane):
            await up(backplane)
            await backplane.subscribe(["feed:news"])
            throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
            for seq in range(1, 6):
                await backplane.publish([entry(seq=seq)], ())
                await throttle.take("k", RATE)
                assert await redis.cut("normal") >= 1
            assert await throttle.take("k", RATE) > 0
            await backplane.publish([entry(seq=6)], ())
            await until(lambda: [one.seq for one in heard.entries] == [1, 2, 3, 4, 5, 6])
            assert backplane.fault is None

    async def test_a_subscriber_too_slow_for_redis_misses_nothing(self, redis: RealRedis, redis_prefix: str) -> None:
        async with joined(redis.settings(redis_prefix)) as (here, there):
            await up(here.backplane)
            await up(there.backplane)
            reader = Reader(there, await there.open("ada"))
            before = await redis.clients("pubsub")
            async with redis.configured(client_output_buffer_limit="pubsub 100kb 0 0"):
                # A single one of the resulting messages exceeds the output buffer limit.
                await say(here, *(here.direct("ada", f"{number}-{'x' * 20_000}") for number in range(300)))
                await until(lambda: len(reader.texts) >= 300, what=lambda: len(reader.texts))
            assert [text.split("-")[0] for text in reader.texts] == [str(number) for number in range(300)]
            await up(there.backplane)
            await until(lambda: there.counters.healed > 0)
            assert set(await redis.clients("pubsub")) - set(before)

    async def test_an_invalid_message_is_ignored(self, redis: RealRedis, redis_prefix: str) -> None:
        heard, store = Heard(), FaultyStore()
        async with opened(redis.settings(redis_prefix), heard, store) as (_, backplane):
            await up(backplane)
            await backplane.subscribe(["feed:news"])
            prefix = f"{redis_prefix}:{await store.epoch()}:"
            with capture_logs() as logs:
                for rubbish in (b"", b"\xc1", b"\xff" * 10, b"\x91\x81\xa3new" + b"\x91" * 100_000, b"{}"):
                    for channel in ("feed:news", "sign-outs"):
                        assert await redis.ask("PUBLISH", prefix + channel, rubbish) == 1
                await backplane.publish([entry()], [SignOut("mark", NOW)])
                await until(lambda: heard.users == ["mark"] and len(heard.entries) == 1)
            assert [log["event"] for log in logs] == ["backplane_message_invalid"] * 10
            assert backplane.fault is None

    async def test_a_cancelled_call_leaves_no_response_for_another(self, redis: RealRedis, redis_prefix: str) -> None:
        heard, chance = Heard(), random.Random(1)
        async with opened(redis.settings(redis_prefix), heard) as (connections, backplane):
            await up(backplane)
            await backplane.subscribe(["feed:news"])
            doing: list[asyncio.Task[Any]] = []
            for number in range(600):
                doing.append(asyncio.create_task(connections.execute("EVAL", "return ARGV[1]", 0, number)))
                doing.append(asyncio.create_task(backplane.publish([entry(seq=number)], ())))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                if number % 3:
                    await asyncio.sleep(chance.random() / 1_000)
                    doing[chance.choice((-1, -2))].cancel()
            results = await asyncio.gather(*doing, return_exceptions=True)
            answers = results[::2]
            assert 0 < sum(isinstance(answer, asyncio.CancelledError) for answer in answers) < 600
            for number, answer in enumerate(answers):
                assert isinstance(answer, asyncio.CancelledError) or answer == b"%d" % number
            told = [number for number, result in enumerate(results[1::2]) if result is None]
            assert 0 < len(told) < 600
            await backplane.publish((), [SignOut("mark", NOW)])
            await until(lambda: "mark" in heard.users)
            seqs = [one.seq for one in heard.entries]
            assert [seq for seq in seqs if seq in set(told)] == told
            assert backplane.fault is None
            assert not connections.sender.connection_pool._in_use_connections


class TestRefused:
    async def test_a_wrong_password_is_reported_and_a_corrected_one_is_used(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        user = redis_prefix
        await redis.ask("ACL", "SETUSER", user, "on", ">first", "~*", "&*", "+@all")
        url = f"redis://{user}:s3c%2Fret@127.0.0.1:{redis.port}"
        with capture_logs() as logs:
            async with opened(redis.settings(redis_prefix, url=url)) as (_, backplane):
                await says(backplane, "invalid username-password pair")
                with pytest.raises(BackplaneUnavailable, match="invalid username-password pair"):
                    await backplane.publish([entry()], ())
                await redis.ask("ACL", "SETUSER", user, ">s3c/ret")
                await up(backplane)
                # From here on the user may not connect.
                await redis.ask("ACL", "SETUSER", user, "off")
                await redis.cut("pubsub")
                await redis.cut("normal")
                await says(backplane, "user is disabled")
        await redis.ask("ACL", "DELUSER", user)
        assert "s3c" not in str(logs)

    async def test_a_user_with_the_documented_permissions_is_sufficient(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        """Refused commands are reported with the error text of Redis."""
        user, heard = redis_prefix, Heard()
        commands = "client|setname publish subscribe unsubscribe eval get set hset hdel hgetall expire time"
        allowed = [f"+{command}" for command in [*commands.split(), "pubsub|numsub"]]
        await redis.ask("ACL", "SETUSER", user, "on", ">s3cret", f"~{user}:*", "resetchannels", f"&{user}:*", *allowed)
        url = f"redis://{user}:s3cret@127.0.0.1:{redis.port}"
        async with opened(redis.settings(redis_prefix, url=url), heard) as (connections, backplane):
            await up(backplane)
            await backplane.subscribe(["feed:news"])
            await backplane.publish([entry()], [SignOut("mark", NOW)])
            await until(lambda: heard.users == ["mark"] and len(heard.entries) == 1)
            backplane.unsubscribe(["feed:news"])
            throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
            assert [await throttle.take("k", RATE) for _ in range(9)].count(0.0) == 5
            kept = await redis.ask("KEYS", f"{redis_prefix}:*")
            presence = RedisPresence(connections)
            await presence.enter("ada", 1)
            await presence.update({"ada": 2, "bob": 1})
            await presence.update({"bob": 0})
            assert len(await redis.ask("KEYS", f"{redis_prefix}:*")) == len(kept) + 1 == 2
            await redis.ask("ACL", "SETUSER", user, "-eval")
            with capture_logs() as logs:
                assert [await throttle.take("k", RATE) for _ in range(9)].count(0.0) == 5
            assert logs[0]["event"] == "redis_command_refused"
            assert "no permissions to run the 'eval' command" in logs[0]["error"]
            # Publishing is refused too.
            await says(backplane, "no permissions to run the 'eval' command")
        async with opened(redis.settings("other", url=url)) as (_, backplane):
            await says(backplane, "no permissions to access one of the channels", "No permissions to access a channel")
        await redis.ask("ACL", "DELUSER", user)

    async def test_tls_requires_a_trusted_certificate(self, redis: RealRedis, redis_prefix: str) -> None:
        url = f"rediss://herald:s3cret@127.0.0.1:{redis.tls_port}"
        async with opened(redis.settings(redis_prefix, url=url, cafile=redis.cafile)) as (_, backplane):
            await up(backplane)
        async with opened(redis.settings(redis_prefix, url=url)) as (_, backplane):
            await says(backplane, "certificate verify failed")
        plain = f"redis://127.0.0.1:{redis.tls_port}"
        async with opened(redis.settings(redis_prefix, url=plain)) as (_, backplane):
            await says(backplane, "Connection reset", "Connection closed")

    @pytest.mark.parametrize("kind", ["socket", "socket and password", "password", "database"])
    async def test_connection_urls(
        self, redis: RealRedis, redis_prefix: str, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = {
            "socket": f"unix://{redis.socket}",
            "socket and password": f"unix://herald:s3cret@{redis.socket}",
            "password": f"redis://herald:s3cret@localhost:{redis.port}",
            "database": f"redis://herald:s3cret@127.0.0.1:{redis.port}/3",
        }[kind]
        heard = Heard()
        with capture_logs() as logs, caplog.at_level(logging.DEBUG):
            async with opened(redis.settings(redis_prefix, url=url), heard) as (connections, backplane):
                await up(backplane)
                await backplane.subscribe(["feed:news"])
                await backplane.publish([entry()], ())
                await until(lambda: len(heard.entries) == 1)
                throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
                assert [await throttle.take("k", RATE) for _ in range(9)].count(0.0) == 5
                # While Redis is down, errors and logs state the reason as often as possible.
                await asyncio.to_thread(redis.kill9)
                fault = await down(backplane)
                with pytest.raises(BackplaneUnavailable) as raised:
                    await backplane.publish([entry()], ())
                await asyncio.to_thread(redis.start)
                await up(backplane)
        assert "s3cret" not in f"{fault} {raised.value} {logs} {caplog.text}"

    async def test_the_node_limits_locally_while_redis_is_out_of_memory(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with opened(redis.settings(redis_prefix)) as (connections, backplane):
            await up(backplane)
            throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
            presence = RedisPresence(connections)
            async with redis.configured(maxmemory="1mb", maxmemory_policy="noeviction"):
                with capture_logs() as logs:
                    assert [await throttle.take("k", RATE) for _ in range(100)].count(0.0) == 5
                    assert await presence.enter("ada", 1) == 0
                assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["redis_command_refused"]
                assert "used memory > 'maxmemory'" in logs[0]["error"]
                # Published messages need no memory, so publishing still works.
                await backplane.publish([entry()], ())
            assert [await throttle.take("k", RATE) for _ in range(9)].count(0.0) == 5

    async def test_the_connection_limit_of_redis_is_reported_and_retried(
        self, redis: RealRedis, redis_prefix: str
    ) -> None:
        async with opened(redis.settings(redis_prefix)) as (_, early):
            await up(early)
            async with redis.configured(maxclients="1"), opened(redis.settings(redis_prefix)) as (_, late):
                await says(late, "max number of clients")
                assert early.fault is None
            async with opened(redis.settings(redis_prefix)) as (_, late):
                await up(late)

    async def test_flushed_scripts_are_loaded_again(self, redis: RealRedis, redis_prefix: str) -> None:
        async with opened(redis.settings(redis_prefix)) as (connections, backplane):
            await up(backplane)
            throttle = RedisThrottle(connections, MemoryThrottle(HandClock()))
            waits = []
            for _ in range(9):
                waits.append(await throttle.take("k", RATE))
                await redis.ask("SCRIPT", "FLUSH")
            assert waits.count(0.0) == 5


class TestSubscriber:
    @pytest.mark.parametrize("seed", range(6))
    async def test_every_message_between_subscribing_and_unsubscribing_is_received(
        self, redis: RealRedis, redis_prefix: str, seed: int
    ) -> None:
        """In any order of subscribing and unsubscribing, however fast."""
        chance = random.Random(seed)
        heard: list[str] = []
        connections = Connections(redis.settings(redis_prefix), FaultyStore(), "node")
        subscriber = Subscriber(connections, lambda channel, message: heard.append(f"{channel} {message.decode()}"))
        running = asyncio.create_task(subscriber.run(f"{redis_prefix}:beat"))
        await until(lambda: connections.fault is None, what=lambda: connections.fault)
        channels = [f"{redis_prefix}:{number}" for number in range(4)]
        wanted: set[str] = set()
        drops = dict.fromkeys(channels, 0)
        speaking: set[str] = set()  # channels being published to, which stay subscribed until that is done
        expected: list[str] = []

        async def follow(some: list[str], number: int) -> None:
            before = dict(drops)
            await subscriber.subscribe(some)
            for channel in some:
                if drops[channel] == before[channel] and channel not in speaking:
                    speaking.add(channel)
                    assert await connections.sender.publish(channel, f"{number}") == 1
                    expected.append(f"{channel} {number}")
                    speaking.discard(channel)

        following = []
        for number in range(300):
            some = [channel for channel in chance.sample(channels, chance.randrange(1, 4)) if channel not in speaking]
            if chance.random() < 0.5:
                wanted.update(some)
                following.append(asyncio.create_task(follow(some, number)))
            else:
                wanted.difference_update(some)
                for channel in some:
                    drops[channel] += 1
                subscriber.unsubscribe(some)
            for _ in range(chance.choice((0, 1, 2, 5))):
                await asyncio.sleep(0)
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() / 500)
        await asyncio.gather(*following)
        await until(lambda: set(expected) <= set(heard), what=lambda: set(expected) - set(heard))
        assert len(expected) > 50
        await subscriber.subscribe([f"{redis_prefix}:last"])
        answer = await redis.ask("PUBSUB", "CHANNELS", f"{redis_prefix}:*")
        assert {one.decode() for one in answer} == wanted | {f"{redis_prefix}:beat", f"{redis_prefix}:last"}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await connections.close()

    async def test_a_node_closes_at_any_moment(self, redis: RealRedis, redis_prefix: str) -> None:
        before = asyncio.all_tasks()
        for step in range(60):
            async with opened(redis.settings(redis_prefix)) as (connections, backplane):
                following = asyncio.create_task(backplane.subscribe([f"feed:{number}" for number in range(3_000)]))
                asking = asyncio.create_task(connections.execute("EVAL", "return 1", 0))
                await asyncio.sleep(step / 3_000)
                backplane.unsubscribe(["feed:1"])
                async with asyncio.timeout(COMMAND_TIMEOUT_S + SLACK):
                    await backplane.close()
                    await connections.close()
                    await following
                    with contextlib.suppress(RedisUnavailable):
                        assert await asking == 1
                assert backplane.fault == "closed"
        await until(lambda: asyncio.all_tasks() <= before, what=lambda: asyncio.all_tasks() - before)

    @pytest.mark.parametrize("turns", range(10))
    async def test_a_link_ends_when_it_is_cancelled_during_a_failure(
        self, redis: RealRedis, redis_prefix: str, turns: int
    ) -> None:
        """`turns`: the number of event loop iterations after the fault."""
        channel = f"{redis_prefix}:fault"

        async def end() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()

        def fail(*_: object) -> None:
            ending.append(asyncio.create_task(end()))
            raise OSError("broken")

        before = asyncio.all_tasks()
        ending: list[asyncio.Task[None]] = []
        connections = Connections(redis.settings(redis_prefix), FaultyStore(), "node")
        subscriber = Subscriber(connections, fail)
        running = asyncio.create_task(subscriber.run(f"{redis_prefix}:beat"))
        await until(lambda: connections.fault is None, what=lambda: connections.fault)
        await subscriber.subscribe([channel])
        await redis.ask("PUBLISH", channel, "")
        await until(lambda: bool(ending))
        done, _ = await asyncio.wait([running], timeout=SLACK)
        assert done == {running}
        assert running.cancelled()
        await connections.close()
        await until(lambda: asyncio.all_tasks() <= before, what=lambda: asyncio.all_tasks() - before)
