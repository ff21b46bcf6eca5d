"""The Backplane port, on every adapter: two nodes on one bus. A new adapter needs one line in `BUSES`."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from adapters.memory.backplane import Bus, MemoryBackplane
from adapters.redis.settings import RedisSettings
from adapters.redis.wire import MAX_BYTES
from application.ports.backplane import Backplane
from domain.streams import SignOut, StreamEntry
from tests.support.core import NOW, FaultyStore, entry
from tests.support.inbox_kind import opened, registered
from tests.support.reading import until
from tests.support.redis import RealRedis, connected

Pair = tuple[Backplane, Backplane]

# Tests of adapters that need Redis call this for its address.
Place = Callable[[], RedisSettings]


@asynccontextmanager
async def memory(_: Place) -> AsyncIterator[Pair]:
    bus = Bus()
    yield MemoryBackplane(bus), MemoryBackplane(bus)


@asynccontextmanager
async def redis(place: Place) -> AsyncIterator[Pair]:
    settings, store = place(), FaultyStore()
    async with connected(settings, store) as (_, here), connected(settings, store) as (_, there):
        yield here, there


BUSES: dict[str, Callable[[Place], AbstractAsyncContextManager[Pair]]] = {"memory": memory, "redis": redis}


class Heard:
    """The listener of one node. Records what it receives."""

    def __init__(self) -> None:
        self.entries: list[StreamEntry] = []
        self.together: list[list[int]] = []  # the positions that arrived in one call
        self.sign_outs: list[SignOut] = []

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        self.entries.extend(entries)
        self.together.append([entry.changed for entry in entries])

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        self.sign_outs.extend(sign_outs)


class Rig:
    def __init__(self, pair: Pair) -> None:
        self.here, self.there = pair
        self.heard_here, self.heard_there = Heard(), Heard()


async def started(backplane: Backplane, heard: Heard) -> None:
    await backplane.open(heard)
    await until(lambda: backplane.fault is None, what=lambda: backplane.fault)


@pytest.fixture(params=BUSES)
async def rig(request: pytest.FixtureRequest, redis_prefix: str) -> AsyncIterator[Rig]:
    def place() -> RedisSettings:
        server: RealRedis = request.getfixturevalue("real_redis")
        return server.settings(redis_prefix)

    async with BUSES[request.param](place) as pair:
        made = Rig(pair)
        await started(made.here, made.heard_here)
        await started(made.there, made.heard_there)
        yield made
        await made.here.close()
        await made.there.close()


_marks = itertools.count()


async def passed(publisher: Backplane, *listeners: Heard) -> None:
    """Return once everything that `publisher` published before has arrived at the listeners. Publishes a marker and
    waits for it."""
    mark = SignOut(f"mark-{next(_marks)}", NOW)
    await publisher.publish((), (mark,))
    await until(lambda: all(mark in heard.sign_outs for heard in listeners))


async def settled(rig: Rig) -> None:
    await passed(rig.here, rig.heard_here, rig.heard_there)


async def test_a_node_receives_its_subscribed_streams_including_its_own_messages(rig: Rig) -> None:
    news, inbox = entry(), entry(stream="inbox:ada", title="t", message="m", unread=1)
    await rig.here.subscribe(["feed:news"])
    await rig.there.subscribe(["feed:news", "inbox:ada"])
    await rig.here.publish((news, inbox), ())
    await settled(rig)
    assert rig.heard_here.entries == [news]
    assert sorted(rig.heard_there.entries, key=lambda one: one.stream) == [news, inbox]


async def test_streams_without_subscription_are_not_delivered(rig: Rig) -> None:
    await rig.here.subscribe(["feed:new", "inbox:news", "feed:*", "feed:news2", "feed:NEWS"])
    await rig.here.publish((entry(),), ())
    await settled(rig)
    assert rig.heard_here.entries == []


async def test_stream_names_are_matched_literally(rig: Rig) -> None:
    names = [f"inbox:{user}" for user in ("*", "a b", "ü😀", "a:b", "[a]", "x" * 1_000, "\\", "a\r\nb", "", "-", "{a}")]
    await rig.here.subscribe(names)
    await rig.there.publish([entry(stream=name) for name in names], ())
    await passed(rig.there, rig.heard_here)
    assert [one.stream for one in rig.heard_here.entries] == names
    rig.here.unsubscribe(names)
    await rig.here.subscribe(["feed:mark"])
    await rig.there.publish([entry(stream=name) for name in [*names, "feed:mark"]], ())
    await passed(rig.there, rig.heard_here)
    assert [one.stream for one in rig.heard_here.entries[len(names) :]] == ["feed:mark"]


async def test_an_entry_is_delivered_as_published(rig: Rig) -> None:
    sent = [
        entry('{"text":"ü😀\\u0000"}', type="x", title="t", message="m\nm", unread=3, stream="inbox:ada"),
        entry("no JSON", envelope="raw", seq=2, changed=7, kind="read", read=True, muted=True, stream="inbox:ada"),
        entry("", seq=2**53, changed=2**60, kind="archived", stream="inbox:ada"),
    ]
    await rig.there.subscribe(["inbox:ada"])
    await rig.here.publish(sent, ())
    await settled(rig)
    assert rig.heard_there.entries == sent


async def test_every_node_receives_every_sign_out(rig: Rig) -> None:
    gone = SignOut("ada", NOW)
    await rig.here.publish((), (gone,))
    await until(lambda: gone in rig.heard_here.sign_outs and gone in rig.heard_there.sign_outs)


async def test_unsubscribing_stops_delivery_and_subscribing_again_resumes_it(rig: Rig) -> None:
    await rig.here.subscribe(["feed:news"])
    rig.here.unsubscribe(["feed:news"])
    await rig.here.subscribe(["feed:other"])
    await rig.here.publish((entry(seq=1),), ())
    await settled(rig)
    assert rig.heard_here.entries == []
    await rig.here.subscribe(["feed:news"])
    await rig.here.publish((entry(seq=2),), ())
    await settled(rig)
    assert [one.seq for one in rig.heard_here.entries] == [2]


async def test_resubscribing_immediately_delivers_everything_published_afterwards(rig: Rig) -> None:
    for seq in range(1, 200):
        await rig.here.subscribe(["feed:news"])
        await rig.there.publish((entry(seq=seq),), ())
        await asyncio.sleep(0)
        rig.here.unsubscribe(["feed:news"])
        if seq % 3:
            await rig.here.subscribe([f"feed:{seq}"])
        # Resubscribing also delivers what was published before the unsubscription.
        await rig.here.subscribe(["feed:news"])
        await rig.there.publish((entry(seq=seq + 1_000),), ())
        await passed(rig.there, rig.heard_here)
        assert seq + 1_000 in [one.seq for one in rig.heard_here.entries]
        rig.here.unsubscribe(["feed:news"])


async def test_subscribing_twice_delivers_once(rig: Rig) -> None:
    await rig.here.subscribe(["feed:news", "feed:news"])
    await rig.here.subscribe(["feed:news"])
    await rig.here.publish((entry(),), ())
    await settled(rig)
    assert len(rig.heard_here.entries) == 1
    rig.here.unsubscribe(["feed:news"])
    await rig.here.subscribe(["feed:other"])
    await rig.here.publish((entry(),), ())
    await settled(rig)
    assert len(rig.heard_here.entries) == 1


async def test_unsubscribing_without_subscription_is_a_no_op(rig: Rig) -> None:
    rig.here.unsubscribe(["feed:none"])
    rig.here.unsubscribe([])
    await rig.here.subscribe([])
    await settled(rig)


async def test_publishing_nothing_is_a_no_op(rig: Rig) -> None:
    await rig.here.publish((), ())
    assert rig.here.fault is None


async def test_thousands_of_streams_subscribed_concurrently(rig: Rig) -> None:
    names = [f"inbox:user-{number}" for number in range(5_000)]
    await rig.here.subscribe(names)
    await rig.there.publish([entry(stream=name) for name in names], ())
    await passed(rig.there, rig.heard_here)
    assert [one.stream for one in rig.heard_here.entries] == names
    rig.here.unsubscribe(names[1::2])
    await rig.here.subscribe(["feed:last"])
    await rig.there.publish([entry(stream=name) for name in names], ())
    await passed(rig.there, rig.heard_here)
    assert [one.stream for one in rig.heard_here.entries[len(names) :]] == names[::2]


async def test_a_message_published_right_after_subscribing_arrives_under_concurrent_subscriptions(rig: Rig) -> None:
    async def follow(number: int) -> None:
        name = f"inbox:user-{number}"
        await rig.here.subscribe([name])
        await rig.there.publish([entry(stream=name)], ())

    await asyncio.gather(*map(follow, range(300)))
    await passed(rig.there, rig.heard_here)
    assert len({one.stream for one in rig.heard_here.entries}) == 300


async def test_entries_of_one_position_arrive_in_one_call_whatever_their_size(rig: Rig) -> None:
    """A bulk change: 500 notifications with one position, between single entries."""
    body = f'"{"x" * 5_000}"'
    before = [entry(body, stream="inbox:ada", seq=seq) for seq in range(1, 101)]
    act = [entry(body, stream="inbox:ada", seq=seq, changed=600, kind="read") for seq in range(101, 601)]
    after = [entry(body, stream="inbox:ada", seq=seq) for seq in range(601, 701)]
    assert sum(len(one.content.body) for one in act) > 5 * MAX_BYTES
    await rig.there.subscribe(["inbox:ada"])
    await rig.here.publish([*before, *act, *after], ())
    await settled(rig)
    assert rig.heard_there.entries == [*before, *act, *after]
    assert [positions.count(600) for positions in rig.heard_there.together if 600 in positions] == [500]


async def test_concurrent_batches_of_one_node_arrive_in_publishing_order(rig: Rig) -> None:
    await rig.here.subscribe(["feed:news", "feed:other"])
    await rig.there.subscribe(["feed:news"])
    batches = [[entry(seq=seq), entry(stream="feed:other", seq=seq), entry(seq=seq + 1)] for seq in range(1, 400, 2)]
    await asyncio.gather(*(rig.here.publish(batch, ()) for batch in batches))
    await settled(rig)
    for heard in (rig.heard_here, rig.heard_there):
        assert [one.seq for one in heard.entries if one.stream == "feed:news"] == list(range(1, 401))
    assert [one.seq for one in rig.heard_here.entries if one.stream == "feed:other"] == list(range(1, 400, 2))


async def test_nodes_that_publish_concurrently_receive_everything_from_each_other(rig: Rig) -> None:
    await rig.here.subscribe(["feed:news"])
    await rig.there.subscribe(["feed:news"])
    publishing = [
        node.publish([entry(seq=first + number)], [SignOut(f"user-{first + number}", NOW)])
        for node, first in ((rig.here, 0), (rig.there, 1_000))
        for number in range(200)
    ]
    await asyncio.gather(*publishing)
    await passed(rig.here, rig.heard_here, rig.heard_there)
    await passed(rig.there, rig.heard_here, rig.heard_there)
    for heard in (rig.heard_here, rig.heard_there):
        seqs = [one.seq for one in heard.entries]
        assert [seq for seq in seqs if seq < 1_000] == list(range(200))
        assert [seq for seq in seqs if seq >= 1_000] == list(range(1_000, 1_200))
        assert len({one.user for one in heard.sign_outs if one.user.startswith("user-")}) == 400


async def test_a_closed_node_receives_nothing_and_does_not_affect_other_nodes(rig: Rig) -> None:
    late = Heard()
    await rig.here.subscribe(["feed:news"])
    await rig.there.subscribe(["feed:news"])
    await rig.there.close()
    await rig.here.publish((entry(),), (SignOut("ada", NOW),))
    await passed(rig.here, rig.heard_here)
    assert len(rig.heard_here.entries) == 1
    assert rig.heard_there.entries == []
    await started(rig.there, late)
    await passed(rig.here, rig.heard_here, late)


@pytest.mark.parametrize("other", ["store", "prefix"])
async def test_nodes_with_another_store_or_prefix_are_isolated(
    real_redis: RealRedis, redis_prefix: str, other: str
) -> None:
    store = FaultyStore()
    elsewhere = (redis_prefix, FaultyStore()) if other == "store" else (f"{redis_prefix}2", store)
    async with (
        connected(real_redis.settings(redis_prefix), store) as (_, here),
        connected(real_redis.settings(elsewhere[0]), elsewhere[1]) as (_, there),
    ):
        heard_here, heard_there = Heard(), Heard()
        await started(here, heard_here)
        await started(there, heard_there)
        await here.subscribe(["feed:news"])
        await there.publish([entry()], [SignOut("ada", NOW)])
        await passed(there, heard_there)
        # Redis delivers in order: once this marker has arrived, so has everything published earlier for this node.
        await passed(here, heard_here)
        assert heard_here.entries == []
        assert [one.user for one in heard_here.sign_outs if not one.user.startswith("mark")] == []


async def test_an_entry_about_the_inbox_itself_arrives_in_order(rig: Rig) -> None:
    with registered():
        entries = (
            entry(stream="inbox:ada", seq=1),
            opened(2),
            entry(stream="inbox:ada", seq=1, changed=3, kind="read"),
        )
        await rig.there.subscribe(["inbox:ada"])
        await rig.here.publish(entries, ())
        await settled(rig)
        assert rig.heard_there.entries == list(entries)
