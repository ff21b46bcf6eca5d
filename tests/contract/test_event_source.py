"""The EventSource port, on every adapter. A broker joins by a Rig: how to publish to it, and how to read it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import pytest

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.source import KafkaSource
from adapters.kafka.timing import Timing
from adapters.memory.broker import MemoryBroker
from adapters.memory.start_offsets import MemoryStartOffsets
from adapters.rabbitmq.source import RabbitSource
from adapters.rabbitmq.timing import Timing as RabbitTiming
from application.ports.event_source import Batch, EventSource, NotAcknowledged
from domain.errors import Unavailable
from domain.messages import Message
from tests.support.kafka import Cluster
from tests.support.rabbitmq import RealRabbit
from tests.support.reading import reading, ready, until

# Lag is measured with each probe.
REAL = Timing(probe=1.0)

# The mock cluster makes the first member wait for 3 s, and one that comes back after it for a session less 1 s.
MOCK = Timing(probe=1.0, session=4.5)


class Rig(Protocol):
    """One broker with one source on it (a topic, a queue), whose messages have an order."""

    name: str

    async def produce(self, bodies: Sequence[bytes]) -> None:
        """Returns once the broker has them."""

    def node(self) -> EventSource:
        """A node that reads from the beginning, or from where its predecessor was; still to be opened."""


class MemoryRig:
    name = "memory"

    def __init__(self) -> None:
        # The broker lives in the process, so one that is opened again is the next node.
        self._broker = MemoryBroker()
        self._published: list[asyncio.Task[None]] = []

    async def produce(self, bodies: Sequence[bytes]) -> None:
        # It takes events while it is open only, and tells whoever still waits for their storing when it closes.
        await self._broker.open()
        messages = [Message("source", body, datetime.now(UTC), uuid.uuid4().hex) for body in bodies]
        self._published.append(asyncio.create_task(self._publish(messages)))
        await asyncio.sleep(0)

    async def _publish(self, messages: Sequence[Message]) -> None:
        with suppress(Unavailable):
            await self._broker.publish(messages)

    def node(self) -> EventSource:
        return self._broker


class KafkaRig:
    name = "kafka"

    def __init__(self, cluster: Cluster, timing: Timing) -> None:
        self._cluster = cluster
        self._timing = timing
        self._topic = f"contract.{uuid.uuid4().hex}"
        cluster.create_topic(self._topic, partitions=4)

    async def produce(self, bodies: Sequence[bytes]) -> None:
        await asyncio.to_thread(self._cluster.produce, self._topic, bodies)

    def node(self) -> EventSource:
        settings = KafkaSettings(self._cluster.servers, group=self._topic, start="earliest")
        return KafkaSource(settings, [self._topic], MemoryStartOffsets(), self._timing)


class RabbitRig:
    name = "rabbitmq"

    def __init__(self, rabbit: RealRabbit) -> None:
        self._rabbit = rabbit
        self._queue = f"contract.{uuid.uuid4().hex}"
        # The suite takes up to 5,000 messages without acknowledging one, which is just what the prefetch is against.
        self._settings = rabbit.settings(self._queue, prefetch=10_000)

    async def produce(self, bodies: Sequence[bytes]) -> None:
        # Where no node was yet, there is no queue to publish to.
        await self._rabbit.ensure(self._settings, ["#"])
        await self._rabbit.publish(self._queue, "contract", bodies)

    def node(self) -> EventSource:
        # Time to leave in, so that every acknowledgement arrives where the machine is busy.
        return RabbitSource(self._settings, ["#"], RabbitTiming(probe=1.0, leave=10.0))


@pytest.fixture(params=["memory", "kafka-mock", "kafka", "rabbitmq"])
async def rig(request: pytest.FixtureRequest) -> Rig:
    if request.param == "memory":
        return MemoryRig()
    if request.param == "kafka":
        return KafkaRig(request.getfixturevalue("real_kafka"), REAL)
    if request.param == "rabbitmq":
        return RabbitRig(request.getfixturevalue("real_rabbit"))
    return KafkaRig(request.getfixturevalue("mock_kafka"), MOCK)


@pytest.fixture
async def node(rig: Rig) -> AsyncIterator[EventSource]:
    node = rig.node()
    await node.open()
    yield node
    await node.close()


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def bodies_of(batches: Sequence[Batch]) -> list[bytes | None]:
    return [message.body for batch in batches for message in batch.messages]


async def take(node: EventSource, count: int) -> list[Batch]:
    """As many batches as hold so many messages, none acknowledged."""
    batches: list[Batch] = []
    async with asyncio.timeout(20):
        while sum(len(batch.messages) for batch in batches) < count:
            batches.append(await node.take())
    return batches


async def test_messages_come_in_order_and_none_is_lost(rig: Rig) -> None:
    bodies = numbered(1_300)
    await rig.produce(bodies[:700])
    async with reading(rig.node()) as reader:
        await rig.produce(bodies[700:])
        await reader.has(bodies[-1])
        assert reader.bodies == bodies


async def test_take_waits_for_the_next_message(rig: Rig, node: EventSource) -> None:
    await ready(node)
    waiting = asyncio.create_task(node.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    await rig.produce([b"late"])
    assert bodies_of([await asyncio.wait_for(waiting, 20)]) == [b"late"]


async def test_what_was_not_acknowledged_comes_again_after_a_restart_as_the_same(rig: Rig, node: EventSource) -> None:
    await rig.produce(numbered(3))
    before = await take(node, 3)
    await node.close()

    restarted = rig.node()
    await restarted.open()
    again = await take(restarted, 3)
    await restarted.close()
    assert [message for batch in again for message in batch.messages] == [
        message for batch in before for message in batch.messages
    ]


async def test_what_was_acknowledged_does_not_come_again(rig: Rig, node: EventSource) -> None:
    await rig.produce(numbered(600))
    for batch in await take(node, 600):
        await node.acknowledge(batch)
    await node.close()

    async with reading(rig.node()) as reader:
        await rig.produce([b"new"])
        await reader.has(b"new")
        assert reader.bodies == [b"new"]


async def test_only_what_follows_the_last_acknowledgement_comes_again(rig: Rig, node: EventSource) -> None:
    bodies = numbered(1_200)
    await rig.produce(bodies)
    batches = await take(node, 1_200)
    assert len(batches) > 1
    await node.acknowledge(batches[0])
    await node.close()

    async with reading(rig.node()) as reader:
        await reader.has(bodies[-1])
        assert reader.bodies == bodies[len(batches[0].messages) :]


async def test_every_message_has_a_name_of_its_own(rig: Rig, node: EventSource) -> None:
    await rig.produce([b"same"] * 50)
    messages = [message for batch in await take(node, 50) for message in batch.messages]
    assert len({message.fallback_id for message in messages}) == 50


async def test_a_slow_taker_loses_nothing_and_keeps_the_order(rig: Rig, node: EventSource) -> None:
    bodies = numbered(1_500)
    await rig.produce(bodies[:1])
    taken = await take(node, 1)
    for start in range(1, 1_500, 500):
        await rig.produce(bodies[start : start + 500])
    await node.acknowledge(taken[0])
    while len(bodies_of(taken)) < len(bodies):
        taken += await take(node, 1)
        await node.acknowledge(taken[-1])
    assert bodies_of(taken) == bodies


async def test_status_tells_the_truth(rig: Rig) -> None:
    node = rig.node()
    before = node.status()
    assert (before.name, before.ready) == (rig.name, False)
    assert before.reason

    await node.open()
    await ready(node)
    assert not node.status().reason
    # More than a node holds ahead of its taker.
    await rig.produce(numbered(5_000))
    await until(lambda: (node.status().lag or 0) > 0, what=node.status)
    for batch in await take(node, 5_000):
        await node.acknowledge(batch)
    await until(lambda: node.status().lag == 0, what=node.status)
    last_poll = node.status().last_poll
    assert last_poll is not None
    assert abs((datetime.now(UTC) - last_poll).total_seconds()) < 10

    await node.close()
    assert not node.status().ready
    assert node.status().reason


async def test_closing_is_quick_and_ends_the_right_to_acknowledge(rig: Rig, node: EventSource) -> None:
    await rig.produce(numbered(2))
    batches = await take(node, 2)
    async with asyncio.timeout(5):
        await node.close()
    with pytest.raises(NotAcknowledged):
        await node.acknowledge(batches[0])

    async with reading(rig.node()) as reader:
        await reader.has(*numbered(2))


async def test_a_node_that_was_never_opened_can_be_closed(rig: Rig) -> None:
    await rig.node().close()
