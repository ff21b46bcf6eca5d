"""Bindings of routes that no longer exist: when they are unwanted and when they are removed."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from adapters.clock import Uuid7Factory
from adapters.memory.backplane import MemoryBackplane
from adapters.memory.bindings import MemoryBindings
from adapters.memory.broker import MemoryBroker
from adapters.memory.shared_records import MemoryRecords
from application.counters import Counters
from application.ingest.ingest_events import IngestEvents
from application.ingest.keep_bindings import BindingPolicy, KeepBindings
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.bindings import Binding, NotChanged, QueueName
from application.ports.event_source import Batch
from application.ports.store import StoreUnavailable
from tests.support.core import FaultyStore, HandClock, in_force, message

NAME = QueueName("/", "orders")

HOUR = 3600.0


class Queue:
    """A queue of a broker and its bindings. While `away` is set, it refuses changes."""

    def __init__(self, bound: set[str], wanted: Sequence[str]) -> None:
        self.name = NAME
        self.wanted = tuple(Binding("shop", key) for key in wanted)
        self.unbound: frozenset[Binding] = frozenset()
        self.bound = bound
        self.away = False

    def bindings_for(self, patterns: Sequence[str]) -> tuple[Binding, ...]:
        return tuple(Binding("shop", key) for key in patterns)

    def change_patterns(self, patterns: Sequence[str]) -> None:
        wanted = self.bindings_for(patterns)
        self.unbound = self.unbound.intersection(wanted) | set(wanted).difference(self.wanted)
        self.wanted = wanted

    async def bind(self, bindings: Sequence[Binding]) -> None:
        if self.away:
            raise NotChanged("not connected")
        self.bound |= {one.key for one in bindings}
        self.unbound = self.unbound.difference(bindings)

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        if self.away:
            raise NotChanged("not connected")
        self.bound -= {one.key for one in bindings}


class FaultyBindings(MemoryBindings):
    """Unavailable while `away` is set."""

    away = False

    async def renew(self, *arguments: object) -> frozenset[Binding]:
        self._pass()
        return await super().renew(*arguments)

    async def recorded(self, *arguments: object):
        self._pass()
        return await super().recorded(*arguments)

    async def needs(self, *arguments: object):
        self._pass()
        return await super().needs(*arguments)

    async def remove(self, *arguments: object) -> tuple[Binding, ...]:
        self._pass()
        return await super().remove(*arguments)

    def _pass(self) -> None:
        if self.away:
            raise StoreUnavailable("it is away")


class Source(MemoryBroker):
    name = "rabbitmq"


SOURCE = Source()


class BindingsNode(KeepBindings):
    """A node's `KeepBindings`, with the queue of its only event source."""

    def __init__(self, name: str, queue: Queue, bindings: FaultyBindings, clock: HandClock) -> None:
        super().__init__(name, {"rabbitmq": queue}, bindings, clock)
        self.queue = queue

    async def reload(self, *wanted: str) -> None:
        """Do what a reload does with the bindings of the queue."""
        await self.claim(SOURCE, wanted)
        self.queue.change_patterns(wanted)
        await self.bind_added(SOURCE)


class Site:
    """One queue, one store, and the nodes on both."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.bound: set[str] = set()
        self.bindings = FaultyBindings(MemoryRecords(Uuid7Factory()))

    def node(self, name: str, *wanted: str) -> BindingsNode:
        return BindingsNode(name, Queue(self.bound, wanted), self.bindings, self.clock)

    def ingest(self, bindings: KeepBindings, counters: Counters) -> IngestEvents:
        store_plans = StorePlans(FaultyStore(), self.clock, StoragePolicy())
        note_duplicates = NoteDuplicates(self.clock, counters)
        return IngestEvents(in_force(), store_plans, MemoryBackplane(), counters, note_duplicates, bindings=bindings)

    async def started(self, name: str, *wanted: str) -> BindingsNode:
        """Return a node that has just connected."""
        node = self.node(name, *wanted)
        await node.start()
        await node.stop()
        self.bound |= set(wanted)
        return node

    async def pass_by(self, seconds: float, *nodes: KeepBindings, step: float = 60.0) -> None:
        """Advance the clock while these nodes run."""
        while seconds > 0:
            self.clock.turn(min(step, seconds))
            seconds -= step
            for node in nodes:
                await node.round()


@pytest.fixture
def site() -> Site:
    return Site()


async def unwanted(node: KeepBindings, *routing_keys: str) -> dict[str, str]:
    return await node.unwanted(Source(), set(routing_keys))


async def test_wanted_bindings_are_recorded_before_the_source_connects(site: Site) -> None:
    node = site.node("a", "order.*")
    await node.start()
    await node.stop()
    assert site.bound == set()
    assert [one.binding.key for one in await site.bindings.recorded(NAME)] == ["order.*"]


async def test_bindings_of_removed_routes_are_unwanted_immediately_and_unbound_after_a_day(site: Site) -> None:
    await site.started("a", "order.*", "ticket.#")
    node = await site.started("a", "order.*")
    assert await unwanted(node, "ticket.new", "order.created", "other") == {"ticket.new": "ticket.#"}
    await site.pass_by(24 * HOUR, node)
    assert site.bound == {"order.*", "ticket.#"}
    assert await unwanted(node, "ticket.new") == {"ticket.new": "ticket.#"}
    with capture_logs() as logs:
        await site.pass_by(60, node)
    assert site.bound == {"order.*"}
    assert await unwanted(node, "ticket.new") == {}
    assert logs == [
        {
            "event": "binding_removed",
            "log_level": "info",
            "queue": "orders",
            "exchange": "shop",
            "routing_key": "ticket.#",
        }
    ]


async def test_an_unwanted_binding_is_logged_once(site: Site) -> None:
    await site.started("a", "ticket.#")
    node = await site.started("a", "order.*")
    with capture_logs() as logs:
        await unwanted(node, "ticket.new", "ticket.old")
        await unwanted(node, "ticket.new")
    (line,) = logs
    assert (line["event"], line["routing_key"]) == ("binding_unwanted", "ticket.#")
    assert line["removed_after"] == (site.clock.now() + timedelta(hours=24)).isoformat()


async def test_bindings_of_another_stopped_node_stay_wanted_for_five_minutes(site: Site) -> None:
    """The node may be restarting, and may have routes that this one lacks."""
    await site.started("a", "ticket.#")
    node = await site.started("b", "order.*")
    await site.pass_by(300, node)
    assert await unwanted(node, "ticket.new") == {}
    await site.pass_by(1, node)
    assert await unwanted(node, "ticket.new") == {"ticket.new": "ticket.#"}


async def test_two_deployments_on_one_queue_keep_their_own_bindings(site: Site) -> None:
    first, second = await site.started("a", "order.*"), await site.started("b", "ticket.#")
    await site.pass_by(72 * HOUR, first, second, step=200)
    assert site.bound == {"order.*", "ticket.#"}
    # Events of the other deployment stay dead letters and are not dropped.
    assert await unwanted(first, "ticket.new") == {}
    assert await unwanted(second, "order.created") == {}


async def test_a_key_that_a_wanted_pattern_also_matches_is_wanted(site: Site) -> None:
    await site.started("a", "order.created", "order.*")
    node = await site.started("a", "order.*")
    assert await unwanted(node, "order.created") == {}


async def test_bindings_not_made_by_herald_are_kept(site: Site) -> None:
    site.bound.add("audit.#")
    node = await site.started("a", "order.*")
    await site.pass_by(48 * HOUR, node)
    assert site.bound == {"audit.#", "order.*"}
    assert await unwanted(node, "audit.x") == {}


async def test_bindings_of_a_previous_version_that_records_nothing_are_kept(site: Site) -> None:
    node = await site.started("a", "order.*")
    site.bound.add("ticket.#")
    await site.pass_by(48 * HOUR, node)
    assert site.bound == {"ticket.#", "order.*"}
    assert await unwanted(node, "ticket.new") == {}


async def test_nothing_is_unbound_while_the_store_is_unavailable(site: Site) -> None:
    await site.started("a", "ticket.#")
    node = await site.started("a", "order.*")
    site.bindings.away = True
    with capture_logs() as logs:
        await site.pass_by(48 * HOUR, node, step=HOUR)
    assert site.bound == {"ticket.#", "order.*"}
    assert {line["event"] for line in logs} == {"bindings_not_renewed", "bindings_not_removed"}
    assert {line["error"] for line in logs} == {"it is away"}
    with pytest.raises(StoreUnavailable):
        await unwanted(node, "ticket.new")
    site.bindings.away = False
    await node.round()
    assert site.bound == {"order.*"}


async def test_records_are_kept_while_the_broker_is_unavailable(site: Site) -> None:
    await site.started("a", "ticket.#")
    node = await site.started("a", "order.*")
    node.queue.away = True
    await site.pass_by(48 * HOUR, node, step=HOUR)
    assert len(await site.bindings.recorded(NAME)) == 2
    node.queue.away = False
    await node.round()
    assert site.bound == {"order.*"}


async def test_a_node_frozen_beyond_the_removal_binds_again(site: Site) -> None:
    frozen, other = await site.started("a", "ticket.#"), await site.started("b", "order.*")
    await site.pass_by(25 * HOUR, other)
    assert site.bound == {"order.*"}
    frozen.queue.away = True
    await frozen.round()
    assert site.bound == {"order.*"}
    frozen.queue.away = False
    await frozen.round()
    assert site.bound == {"order.*", "ticket.#"}


async def test_start_up_does_not_wait_long_for_the_store(site: Site) -> None:
    class Stuck(MemoryBindings):
        async def renew(self, *_: object) -> frozenset[Binding]:
            await asyncio.Event().wait()
            raise AssertionError

    stuck = Stuck(MemoryRecords(Uuid7Factory()))
    node = KeepBindings("a", {"rabbitmq": Queue(set(), ["x"])}, stuck, site.clock, BindingPolicy(start_s=0.01))
    await node.start()
    await node.stop()


async def test_bindings_are_renewed_periodically(site: Site) -> None:
    policy = BindingPolicy(period_s=0.01)
    node = KeepBindings("a", {"rabbitmq": Queue(site.bound, ["x"])}, site.bindings, site.clock, policy)
    await node.start()
    site.clock.turn(60)
    async with asyncio.timeout(5):
        while (await site.bindings.recorded(NAME))[0].wanted_at != site.clock.now():
            await asyncio.sleep(0.01)
    await node.stop()


async def test_ingest_counts_unwanted_events_and_stores_the_others(site: Site) -> None:
    await site.started("a", "gone.#", "direct")
    bindings = await site.started("a", "direct")
    counters = Counters()
    ingest = site.ingest(bindings, counters)
    messages = (
        message("gone.x", {"to": "ada"}, "1"),
        message("direct", {"to": "ada"}, "2"),
        message("gone.y", b"\xff", "3"),
        message("elsewhere", {}, "4"),
    )
    await ingest(await ingest.plan(Batch(messages), Source(), ingest.table), Source())
    assert counters.unwanted == {"gone.#": 2}
    assert counters.events_in == {"rabbitmq": 4}
    assert counters.dead_letters == {"no_route": 1}
    assert (counters.planned, counters.stored, counters.duplicates) == (1, 1, 0)
    # From another source the same event is a dead letter.
    await ingest(await ingest.plan(Batch(messages[:1]), MemoryBroker(), ingest.table), MemoryBroker())
    assert counters.dead_letters == {"no_route": 2}


async def test_no_event_is_dropped_while_the_store_is_unavailable(site: Site) -> None:
    bindings = await site.started("a", "direct")
    ingest = site.ingest(bindings, Counters())
    site.bindings.away = True
    with pytest.raises(StoreUnavailable):
        await ingest.plan(Batch((message("gone.x", {}, "1"),)), Source(), ingest.table)
    # The store is not queried if every event has a route.
    await ingest.plan(Batch((message("direct", {"to": "ada"}, "2"),)), Source(), ingest.table)


async def test_a_key_that_a_reload_adds_is_bound_at_once_by_the_only_node(site: Site) -> None:
    node = await site.started("a", "order.*")
    with capture_logs() as logs:
        await node.reload("order.*", "ticket.*")
    assert site.bound == {"order.*", "ticket.*"}
    assert [(line["event"], line["routing_keys"]) for line in logs] == [("bindings_created", ["ticket.*"])]


async def test_a_key_that_a_reload_adds_is_bound_once_every_node_has_it(site: Site) -> None:
    first, second = await site.started("a", "order.*"), await site.started("b", "order.*")
    with capture_logs() as logs:
        await first.reload("order.*", "ticket.*")
    assert site.bound == {"order.*"}
    (line,) = logs
    assert (line["event"], line["routing_keys"], line["nodes"]) == ("bindings_deferred", ["ticket.*"], ["b"])
    await first.round()
    assert site.bound == {"order.*"}
    await second.reload("order.*", "ticket.*")
    assert site.bound == {"order.*", "ticket.*"}
    await first.round()
    assert first.queue.unbound == frozenset()


async def test_a_key_does_not_wait_for_a_node_that_has_stopped(site: Site) -> None:
    await site.started("stopped", "order.*")
    node = await site.started("a", "order.*")
    await node.reload("order.*", "ticket.*")
    assert site.bound == {"order.*"}
    await site.pass_by(5 * 60 + 60, node)
    assert site.bound == {"order.*", "ticket.*"}


async def test_a_key_that_two_nodes_add_at_the_same_time_is_bound(site: Site) -> None:
    first, second = await site.started("a", "order.*"), await site.started("b", "order.*")
    await asyncio.gather(*(node.reload("order.*", "ticket.*") for node in (first, second)))
    assert site.bound == {"order.*", "ticket.*"}


async def test_a_key_that_could_not_be_bound_is_bound_in_the_next_period(site: Site) -> None:
    node = await site.started("a", "order.*")
    node.queue.away = True
    await node.reload("order.*", "ticket.*")
    assert node.queue.unbound == {Binding("shop", "ticket.*")}
    node.queue.away = False
    await node.round()
    assert site.bound == {"order.*", "ticket.*"}


async def test_a_reload_needs_the_store(site: Site) -> None:
    node = await site.started("a", "order.*")
    site.bindings.away = True
    with pytest.raises(StoreUnavailable):
        await node.claim(SOURCE, ["order.*", "ticket.*"])


async def test_events_of_a_removed_key_are_unwanted_from_the_reload_on(site: Site) -> None:
    node = await site.started("a", "order.*", "ticket.*")
    await node.claim(SOURCE, ["order.*"])
    assert await node.unwanted(SOURCE, {"order.x"}) == {}
    node.queue.change_patterns(["order.*"])
    assert await node.unwanted(SOURCE, {"ticket.x"}) == {"ticket.x": "ticket.*"}


async def test_a_period_that_fails_does_not_bind_keys_too_early(site: Site) -> None:
    await site.started("b", "order.*")
    node = await site.started("a", "order.*")
    await node.reload("order.*", "ticket.*")
    site.bindings.away = True
    await node.round()
    site.bindings.away = False
    await node.round()
    assert site.bound == {"order.*"}
