"""Bindings of routes that no longer exist, and of those that a reload adds, on a real broker and a real store."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.memory.backplane import MemoryBackplane
from adapters.rabbitmq.source import RabbitSource
from adapters.rabbitmq.timing import Timing
from application.counters import Counters
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.keep_bindings import KeepBindings
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.bindings import Binding, NotChanged
from application.routes_in_force import RoutesInForce
from domain.backoff import Backoff
from domain.route_table import RouteTable
from domain.routes_file import read_profile
from domain.routes_version import version_of
from tests.support.core import HandClock
from tests.support.rabbitmq import RealRabbit
from tests.support.reading import ready, until
from tests.support.stores import STORES, Stores

QUICK = Timing(probe=0.5, silence=3.0, reconnect=Backoff(0.2, 1.0), bind=1.0)

HOUR = 3600.0


@pytest.fixture
def queue() -> str:
    """A unique name for queue and exchange."""
    return f"queue-{uuid.uuid4().hex}"


def table_of(*keys: str) -> RouteTable:
    routes = "".join(f'[[routes]]\nsource = "{key}"\nusers = ["to"]\n' for key in keys)
    return RouteTable((read_profile(f'profile = "x"\nbroker = "rabbitmq"\n{routes}', "x.toml"),))


class Node:
    """The parts of a node that use RabbitMQ. It has one route for each of `keys`, to the users in the payload field
    `to`."""

    def __init__(self, name: str, rabbit: RealRabbit, queue: str, stores: Stores, clock: HandClock, *keys: str) -> None:
        table = table_of(*keys)
        self.routes = RoutesInForce(table)
        self.source = RabbitSource(rabbit.settings(queue), table.sources("rabbitmq"), QUICK)
        self.bindings = KeepBindings(name, {"rabbitmq": self.source.queue}, stores.bindings, clock)
        self.counters = Counters()
        store_plans = StorePlans(stores.store, clock, StoragePolicy())
        self.ingest = IngestEvents(
            self.routes,
            store_plans,
            MemoryBackplane(),
            self.counters,
            NoteDuplicates(clock, self.counters),
            bindings=self.bindings,
        )
        self.consumer = ConsumeEvents(self.ingest, self.source, RetryPolicy())

    async def start(self) -> "Node":
        await self.bindings.start()
        await self.consumer.start()
        await ready(self.source)
        return self

    async def reload(self, *keys: str) -> None:
        """Do what a reload does with the routes and the queue."""
        table = table_of(*keys)
        patterns = table.sources("rabbitmq")
        await self.bindings.claim(self.source, patterns)
        self.routes.replace(table, version_of(table))
        self.source.change_patterns(patterns)
        await self.bindings.bind_added(self.source)

    async def stop(self) -> None:
        await self.bindings.stop()
        await self.consumer.stop(5)

    async def took(self, events: int) -> None:
        await until(lambda: self.counters.events_in["rabbitmq"] == events, what=lambda: self.counters.events_in)


class Site:
    """A broker, a store, and the nodes started on them."""

    def __init__(self, rabbit: RealRabbit, stores: Stores, queue: str) -> None:
        self.rabbit, self.stores, self.queue = rabbit, stores, queue
        self.clock = HandClock()
        self.nodes: list[Node] = []

    async def start(self, name: str, *keys: str) -> Node:
        node = Node(name, self.rabbit, self.queue, self.stores, self.clock, *keys)
        self.nodes.append(node)
        return await node.start()

    async def publish(self, *keys: str) -> None:
        for key in keys:
            await self.rabbit.publish(self.queue, key, [b'{"to": "ada"}'])

    async def bound(self) -> set[str]:
        return await self.rabbit.keys(self.queue)


@pytest.fixture(params=["sqlite", "postgres"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, real_rabbit: RealRabbit, queue: str
) -> AsyncIterator[Site]:
    async with STORES[request.param]((tmp_path, lambda: request.getfixturevalue("postgres"))) as stores:
        site = Site(real_rabbit, stores, queue)
        yield site
        for node in site.nodes:
            await node.stop()


async def test_events_of_a_removed_route_are_counted_until_their_binding_is_removed(site: Site) -> None:
    old = await site.start("a", "order.*", "ticket.#")
    await old.stop()
    node = await site.start("a", "order.*")
    await site.publish("ticket.new", "order.created", "ticket.old")
    await node.took(3)
    assert node.counters.unwanted == {"ticket.#": 2}
    assert not node.counters.dead_letters
    assert node.counters.stored == 1

    site.clock.turn(24 * HOUR + 1)
    await node.bindings.round()
    assert await site.bound() == {"order.*"}
    await site.publish("ticket.new", "order.created")
    await node.took(4)
    assert node.counters.unwanted == {"ticket.#": 2}
    # A route that is added again is bound again.
    await node.stop()
    again = await site.start("a", "order.*", "ticket.#")
    await site.publish("ticket.new")
    await again.took(1)
    assert again.counters.stored == 1


async def test_bindings_made_by_an_operator_are_kept(site: Site) -> None:
    await (await site.start("a", "order.*")).stop()
    async with site.rabbit.channel() as channel:
        await channel.queue_bind(site.queue, site.queue, "audit.#")
    node = await site.start("a", "order.*")
    site.clock.turn(48 * HOUR)
    await node.bindings.round()
    await site.publish("audit.x")
    await node.took(1)
    assert node.counters.dead_letters == {"no_route": 1}
    assert await site.bound() == {"order.*", "audit.#"}


async def test_bindings_of_a_node_of_the_previous_version_are_kept(site: Site) -> None:
    node = await site.start("a", "order.*")
    # It binds and consumes, and records no bindings.
    older = RabbitSource(site.rabbit.settings(site.queue), ["ticket.#"], QUICK)
    await older.open()
    try:
        await ready(older)
        site.clock.turn(48 * HOUR)
        await node.bindings.round()
        assert await site.bound() == {"order.*", "ticket.#"}
        await site.publish("ticket.new")
        await node.took(1)
        assert node.counters.dead_letters == {"no_route": 1}
    finally:
        await older.close()


async def test_two_deployments_on_one_queue_keep_their_bindings_and_each_others_events(site: Site) -> None:
    first = await site.start("a", "order.*")
    second = await site.start("b", "ticket.#")
    for _ in range(30):
        site.clock.turn(HOUR)
        for node in (first, second):
            await node.bindings.round()
    # Only the first consumes from the queue (single active consumer).
    await site.publish("ticket.new")
    await first.took(1)
    assert first.counters.dead_letters == {"no_route": 1}
    assert not first.counters.unwanted
    assert await site.bound() == {"order.*", "ticket.#"}


async def test_a_removal_that_the_broker_did_not_confirm_is_repeated(site: Site) -> None:
    await (await site.start("a", "order.*", "ticket.#")).stop()
    node = await site.start("a", "order.*")
    site.clock.turn(48 * HOUR)
    with site.rabbit.frozen(), capture_logs() as logs:
        await node.bindings.round()
    failures = [(line["event"], line["error"]) for line in logs if line["event"].startswith("bindings_")]
    assert failures == [("bindings_not_removed", "RabbitMQ did not confirm the change within 1 s")]
    assert len(await site.stores.bindings.recorded(node.source.queue.name)) == 2
    await ready(node.source)
    await node.bindings.round()
    assert await site.bound() == {"order.*"}


class TestQueue:
    """The guarantees of the port BoundQueue."""

    @pytest.fixture
    async def source(self, real_rabbit: RealRabbit, queue: str) -> AsyncIterator[RabbitSource]:
        source = RabbitSource(real_rabbit.settings(queue), ["order.*"], QUICK)
        await source.open()
        await ready(source)
        yield source
        await source.close()

    async def test_binding_and_unbinding_are_idempotent(
        self, source: RabbitSource, real_rabbit: RealRabbit, queue: str
    ) -> None:
        more = [Binding(queue, key) for key in ("a.#", "b")]
        for _ in range(2):
            await source.queue.bind(more)
        assert await real_rabbit.keys(queue) == {"order.*", "a.#", "b"}
        for _ in range(2):
            await source.queue.unbind(more)
        assert await real_rabbit.keys(queue) == {"order.*"}
        assert source.status().ready

    async def test_unbinding_from_a_missing_exchange_succeeds_and_binding_fails(
        self, source: RabbitSource, real_rabbit: RealRabbit, queue: str
    ) -> None:
        await source.queue.bind([Binding(queue, "a")])
        await source.queue.unbind([Binding(f"no-{queue}", "x"), Binding(f"no-{queue}", "y"), Binding(queue, "a")])
        assert await real_rabbit.keys(queue) == {"order.*"}
        with pytest.raises(NotChanged, match="no exchange"):
            await source.queue.bind([Binding(f"no-{queue}", "x")])
        assert source.status().ready

    async def test_without_a_connection_bind_and_unbind_fail(self, real_rabbit: RealRabbit, queue: str) -> None:
        node: Any = RabbitSource(real_rabbit.settings(queue), ["x"], QUICK).queue
        for change in (node.bind, node.unbind):
            with pytest.raises(NotChanged, match="not connected"):
                await change([Binding(queue, "x")])


async def test_a_key_that_a_reload_adds_is_bound_once_all_nodes_have_a_route_for_it(site: Site) -> None:
    """RabbitMQ delivers to one node only, the active consumer. Whichever it is, it must have a route for the key."""
    first, second = await site.start("a", "order.*"), await site.start("b", "order.*")
    published = 0
    done = asyncio.Event()

    async def publish() -> None:
        nonlocal published
        while not done.is_set():
            await site.publish("order.created", "ticket.new")
            published += 1

    publishing = asyncio.create_task(publish())
    await until(lambda: published > 5)
    await second.reload("order.*", "ticket.*")
    assert await site.bound() == {"order.*"}
    before = published
    await until(lambda: published > before + 5)
    await first.reload("order.*", "ticket.*")
    assert await site.bound() == {"order.*", "ticket.*"}
    bound_at = published
    await until(lambda: published > bound_at + 5)
    done.set()
    await publishing
    # All orders, and the tickets since the key was bound; the one that was being published then may be among them.
    expected = published + published - bound_at
    counters = (first.counters, second.counters)
    await until(lambda: sum(one.stored for one in counters) in (expected - 1, expected), what=lambda: counters)
    assert [one.dead_letters for one in counters] == [{}, {}]
    assert [one.unwanted for one in counters] == [{}, {}]


async def test_a_node_that_reconnects_does_not_bind_an_added_key_too_early(site: Site) -> None:
    await site.start("a", "order.*")
    second = await site.start("b", "order.*")
    await second.reload("order.*", "ticket.*")
    await second.consumer.stop(5)
    second.consumer = ConsumeEvents(second.ingest, second.source, RetryPolicy())
    await second.consumer.start()
    await ready(second.source)
    assert await site.bound() == {"order.*"}


async def test_events_of_a_key_that_a_reload_removes_are_counted(site: Site) -> None:
    node = await site.start("a", "order.*", "ticket.#")
    await site.publish("ticket.new")
    await node.took(1)
    await node.reload("order.*")
    await site.publish("ticket.new", "order.created")
    await node.took(3)
    assert node.counters.unwanted == {"ticket.#": 1}
    assert node.counters.dead_letters == {}
    assert node.counters.stored == 2
