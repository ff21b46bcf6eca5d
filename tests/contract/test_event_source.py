"""The EventSource port, on every adapter. A new broker needs a `Rig`: how to publish to it and how to read from it."""

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
from domain.broker_messages import Message
from domain.caller_errors import Unavailable
from tests.support.kafka import RealKafka
from tests.support.rabbitmq import RealRabbit
from tests.support.reading import reading, ready, until


class Rig(Protocol):
    """One broker with one source (a topic or a queue) whose messages are ordered."""

    name: str

    async def produce(self, bodies: Sequence[bytes]) -> None:
        """Publish messages. Returns after the broker has accepted them."""

    def node(self) -> EventSource:
        """Return a node, not yet opened, that reads from the beginning or from where the node before it stopped."""


class MemoryRig:
    name = "memory"

    def __init__(self) -> None:
        # The broker is in this process, so a source that is opened again acts as the next node.
        self._broker = MemoryBroker()
        self._published: list[asyncio.Task[None]] = []

    async def produce(self, bodies: Sequence[bytes]) -> None:
        # The broker accepts events only while it is open; closing it fails the publishers that still wait for storing.
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

    def __init__(self, kafka: RealKafka) -> None:
        self._kafka = kafka
        self._topic = f"contract.{uuid.uuid4().hex}"
        kafka.create_topic(self._topic, partitions=4)

    async def produce(self, bodies: Sequence[bytes]) -> None:
        await asyncio.to_thread(self._kafka.produce, self._topic, bodies)

    def node(self) -> EventSource:
        settings = KafkaSettings(self._kafka.servers, group=self._topic, start="earliest")
        return KafkaSource(settings, [self._topic], MemoryStartOffsets(), Timing(probe=1.0))


class RabbitRig:
    name = "rabbitmq"

    def __init__(self, rabbit: RealRabbit) -> None:
        self._rabbit = rabbit
        self._queue = f"contract.{uuid.uuid4().hex}"
        # The suite reads up to 5,000 messages without acknowledging one, which a smaller prefetch would prevent.
        self._settings = rabbit.settings(self._queue, prefetch=10_000)

    async def produce(self, bodies: Sequence[bytes]) -> None:
        # Before the first node there is no queue to publish to.
        await self._rabbit.ensure(self._settings, ["#"])
        await self._rabbit.publish(self._queue, "contract", bodies)

    def node(self) -> EventSource:
        # A long closing timeout, so that every acknowledgement arrives on a busy machine.
        return RabbitSource(self._settings, ["#"], RabbitTiming(probe=0.5, leave=10.0))


@pytest.fixture(params=["memory", "kafka", "rabbitmq"])
async def rig(request: pytest.FixtureRequest) -> Rig:
    if request.param == "memory":
        return MemoryRig()
    if request.param == "kafka":
        return KafkaRig(request.getfixturevalue("real_kafka"))
    return RabbitRig(request.getfixturevalue("real_rabbit"))


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
    """Take batches until they hold that many messages. Acknowledges none."""
    batches: list[Batch] = []
    async with asyncio.timeout(20):
        while sum(len(batch.messages) for batch in batches) < count:
            batches.append(await node.take())
    return batches


async def test_messages_arrive_in_order_without_loss(rig: Rig) -> None:
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


async def test_unacknowledged_messages_are_redelivered_unchanged_after_a_restart(rig: Rig, node: EventSource) -> None:
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


async def test_acknowledged_messages_are_not_redelivered(rig: Rig, node: EventSource) -> None:
    await rig.produce(numbered(600))
    for batch in await take(node, 600):
        await node.acknowledge(batch)
    await node.close()

    async with reading(rig.node()) as reader:
        await rig.produce([b"new"])
        await reader.has(b"new")
        assert reader.bodies == [b"new"]


async def test_only_messages_after_the_last_acknowledgement_are_redelivered(rig: Rig, node: EventSource) -> None:
    bodies = numbered(1_200)
    await rig.produce(bodies)
    batches = await take(node, 1_200)
    assert len(batches) > 1
    await node.acknowledge(batches[0])
    await node.close()

    async with reading(rig.node()) as reader:
        await reader.has(bodies[-1])
        assert reader.bodies == bodies[len(batches[0].messages) :]


async def test_message_names_are_unique(rig: Rig, node: EventSource) -> None:
    await rig.produce([b"same"] * 50)
    messages = [message for batch in await take(node, 50) for message in batch.messages]
    assert len({message.fallback_id for message in messages}) == 50


async def test_a_slow_taker_gets_every_message_in_order(rig: Rig, node: EventSource) -> None:
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


async def test_status_reports_readiness_and_lag(rig: Rig) -> None:
    node = rig.node()
    before = node.status()
    assert (before.name, before.ready) == (rig.name, False)
    assert before.reason

    await node.open()
    await ready(node)
    assert not node.status().reason
    # More than a node fetches ahead.
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


async def test_closing_is_quick_and_later_acknowledgements_are_refused(rig: Rig, node: EventSource) -> None:
    await rig.produce(numbered(2))
    batches = await take(node, 2)
    async with asyncio.timeout(5):
        await node.close()
    with pytest.raises(NotAcknowledged):
        await node.acknowledge(batches[0])

    async with reading(rig.node()) as reader:
        await reader.has(*numbered(2))


async def test_a_source_that_was_never_opened_can_be_closed(rig: Rig) -> None:
    await rig.node().close()
