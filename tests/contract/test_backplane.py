"""The Backplane port, on every adapter: two nodes on one bus. An adapter joins by one line in `BUSES`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from adapters.memory.backplane import Bus, MemoryBackplane
from application.ports.backplane import Backplane
from domain.streams import Entry, SignOut
from tests.support.core import NOW, entry

Pair = tuple[Backplane, Backplane]


@asynccontextmanager
async def memory() -> AsyncIterator[Pair]:
    bus = Bus()
    yield MemoryBackplane(bus), MemoryBackplane(bus)


BUSES: dict[str, Callable[[], AbstractAsyncContextManager[Pair]]] = {"memory": memory}


class Heard:
    """A node's listener."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.sign_outs: list[SignOut] = []

    def arrived(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        self.sign_outs.extend(sign_outs)


class Rig:
    def __init__(self, pair: Pair) -> None:
        self.here, self.there = pair
        self.heard_here, self.heard_there = Heard(), Heard()


@pytest.fixture(params=BUSES)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with BUSES[request.param]() as pair:
        made = Rig(pair)
        await made.here.open(made.heard_here)
        await made.there.open(made.heard_there)
        yield made
        await made.here.close()
        await made.there.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def passed(rig: Rig) -> None:
    """Returns once whatever was published before has come, by a message that comes behind it."""
    mark = SignOut("mark", NOW)
    before = rig.heard_here.sign_outs.count(mark), rig.heard_there.sign_outs.count(mark)
    await rig.here.publish((), (mark,))
    await until(lambda: rig.heard_here.sign_outs.count(mark) > before[0])
    await until(lambda: rig.heard_there.sign_outs.count(mark) > before[1])


async def test_each_node_hears_the_streams_it_subscribed_to_its_own_messages_included(rig: Rig) -> None:
    news, inbox = entry(), entry(stream="inbox:ada", title="t", message="m", unread=1)
    await rig.here.subscribe("feed:news")
    await rig.there.subscribe("feed:news")
    await rig.there.subscribe("inbox:ada")
    await rig.here.publish((news, inbox), ())
    await until(lambda: len(rig.heard_there.entries) == 2)
    await passed(rig)
    assert rig.heard_here.entries == [news]
    assert sorted(rig.heard_there.entries, key=lambda one: one.stream) == [news, inbox]


async def test_nothing_comes_of_streams_not_subscribed_to(rig: Rig) -> None:
    await rig.here.subscribe("feed:new")
    await rig.here.subscribe("inbox:news")
    await rig.here.publish((entry(),), ())
    await passed(rig)
    assert rig.heard_here.entries == []


async def test_every_node_hears_every_sign_out(rig: Rig) -> None:
    gone = SignOut("ada", NOW)
    await rig.here.publish((), (gone,))
    await until(lambda: gone in rig.heard_here.sign_outs and gone in rig.heard_there.sign_outs)


async def test_after_unsubscribing_nothing_comes_and_subscribing_again_brings_it_back(rig: Rig) -> None:
    await rig.here.subscribe("feed:news")
    await rig.here.unsubscribe("feed:news")
    await rig.here.publish((entry(seq=1),), ())
    await passed(rig)
    assert rig.heard_here.entries == []
    await rig.here.subscribe("feed:news")
    await rig.here.publish((entry(seq=2),), ())
    await until(lambda: [one.seq for one in rig.heard_here.entries] == [2])


async def test_subscribing_twice_is_subscribing_once(rig: Rig) -> None:
    await rig.here.subscribe("feed:news")
    await rig.here.subscribe("feed:news")
    await rig.here.publish((entry(),), ())
    await passed(rig)
    assert len(rig.heard_here.entries) == 1
    await rig.here.unsubscribe("feed:news")
    await rig.here.publish((entry(),), ())
    await passed(rig)
    assert len(rig.heard_here.entries) == 1


async def test_unsubscribing_from_what_was_never_subscribed_to_does_nothing(rig: Rig) -> None:
    await rig.here.unsubscribe("feed:none")


async def test_publishing_nothing_is_no_fault(rig: Rig) -> None:
    await rig.here.publish((), ())
    await rig.here.ping()


async def test_a_node_that_has_closed_hears_nothing_and_does_not_disturb_the_others(rig: Rig) -> None:
    late = Heard()
    await rig.here.subscribe("feed:news")
    await rig.there.subscribe("feed:news")
    await rig.there.close()
    await rig.here.publish((entry(),), (SignOut("ada", NOW),))
    await until(lambda: len(rig.heard_here.entries) == 1)
    assert rig.heard_there.entries == []
    await rig.there.open(late)
