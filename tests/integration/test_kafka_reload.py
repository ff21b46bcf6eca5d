"""Changing the topics that a running node reads from Kafka, on a real broker: events of topics that stay are read
once, those of topics that are removed stay unread, and those of new topics are read from the change on."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from structlog.testing import capture_logs

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.source import KafkaSource
from adapters.memory.start_offsets import MemoryStartOffsets
from tests.support.kafka import QUICK, RealKafka
from tests.support.reading import Reader, reading, until

# Seconds within which a changed subscription must be in effect.
REBALANCED = 10.0


class Site:
    """The nodes of one consumer group, and a publisher. All topics start with `name`."""

    def __init__(self, kafka: RealKafka) -> None:
        self.kafka = kafka
        self.name = uuid.uuid4().hex
        self.starts = MemoryStartOffsets()
        self.published: list[bytes] = []

    def topic(self, name: str, *bodies: bytes, partitions: int = 1) -> None:
        self.kafka.create_topic(self.whole(name), partitions)
        if bodies:
            self.produce(name, *bodies)

    def whole(self, name: str) -> str:
        return f"{self.name}.{name}"

    def produce(self, name: str, *bodies: bytes, partition: int = 0) -> None:
        self.kafka.produce(self.whole(name), bodies, partition=partition)

    def node(self, *names: str) -> KafkaSource:
        settings = KafkaSettings(self.kafka.servers, group=self.name)
        return KafkaSource(settings, [self.whole(name) for name in names], self.starts, QUICK)

    def change(self, reader: Reader, *names: str) -> None:
        reader.source.change_patterns([self.whole(name) for name in names])

    @asynccontextmanager
    async def publishing(self, name: str, partitions: int = 1) -> AsyncIterator[None]:
        """Publish numbered events to the topic, one after the other, until the end of the block."""

        ended = asyncio.Event()

        async def publish() -> None:
            while not ended.is_set():
                body = b"%s-%d" % (name.encode(), len(self.published))
                await asyncio.to_thread(self.produce, name, body, partition=len(self.published) % partitions)
                self.published.append(body)

        task = asyncio.create_task(publish())
        try:
            yield
        finally:
            ended.set()
            await task


@pytest.fixture
def site(real_kafka: RealKafka) -> Site:
    return Site(real_kafka)


async def reads(reader: Reader, *partitions: str) -> None:
    """Wait until the node is assigned exactly these partitions."""
    status = reader.source.status
    await until(lambda: status().ready and status().assigned == partitions, REBALANCED, status)


async def test_topics_that_stay_are_read_once_while_others_are_added_and_removed(site: Site) -> None:
    site.topic("stays", partitions=2)
    site.topic("added", *[b"past"] * 10)
    site.topic("removed")
    async with reading(site.node("stays", "removed")) as reader:
        stays = (site.whole("stays") + "/0", site.whole("stays") + "/1")
        await reads(reader, site.whole("removed") + "/0", *stays)
        async with site.publishing("stays", partitions=2):
            await until(lambda: len(site.published) > 20)
            site.produce("removed", b"before")
            await reader.has(b"before")
            site.change(reader, "stays", "added")
            site.produce("removed", b"unread")
            await reads(reader, site.whole("added") + "/0", *stays)
            site.produce("added", b"new")
            await reader.has(b"new")
            # The topic continues where reading stopped.
            site.change(reader, "stays", "removed")
            await reader.has(b"unread")
            size = len(site.published)
            await until(lambda: len(site.published) > size + 20)
        await reader.has(*site.published)
        assert sorted(reader.bodies) == sorted([*site.published, b"before", b"new", b"unread"])


async def test_no_event_of_a_removed_topic_is_read_after_the_change(site: Site) -> None:
    site.topic("stays")
    site.topic("removed")
    async with reading(site.node("stays", "removed")) as reader:
        await reads(reader, site.whole("removed") + "/0", site.whole("stays") + "/0")
        async with site.publishing("removed"):
            await until(lambda: len(reader.bodies) > 20)
            site.change(reader, "stays")
            read = list(reader.bodies)
            await reads(reader, site.whole("stays") + "/0")
            size = len(site.published)
            await until(lambda: len(site.published) > size + 10)
        site.produce("stays", b"last")
        await reader.has(b"last")
        assert reader.bodies == [*read, b"last"]
        site.change(reader, "stays", "removed")
        await reader.has(*site.published)
        assert reader.bodies == [*read, b"last", *site.published[len(read) :]]


async def test_a_batch_that_is_being_stored_during_the_change_is_committed(site: Site) -> None:
    site.topic("stays")
    site.topic("removed")
    node = site.node("stays", "removed")
    await node.open()
    try:
        await until(lambda: node.status().ready and len(node.status().assigned) == 2, what=node.status)
        site.produce("removed", b"1")
        batch = await node.take()
        site.produce("removed", b"2")
        node.change_patterns([site.whole("stays")])
        await until(lambda: not node.status().ready)
        await node.acknowledge(batch)
        await until(lambda: node.status().assigned == (site.whole("stays") + "/0",), what=node.status)
        node.change_patterns([site.whole("stays"), site.whole("removed")])
        async with asyncio.timeout(REBALANCED):
            again = await node.take()
        assert [message.body for message in again.messages] == [b"2"]
    finally:
        await node.close()


async def test_a_node_is_assigned_no_topic_that_only_another_node_reads_already(site: Site) -> None:
    """While nodes are reloaded one after the other, the one with the earlier routes must not get events of new topics:
    it would store them as dead letters."""
    site.topic("stays", partitions=4)
    site.topic("added", partitions=4)
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(reading(site.node("stays"))) for _ in range(2)]
        both = (first, second)
        await until(lambda: [len(one.source.status().assigned) for one in both] == [2, 2])
        async with site.publishing("stays", partitions=4):
            await until(lambda: len(site.published) > 20)
            site.change(second, "stays", "added")
            await until(lambda: sum(len(one.source.status().assigned) for one in both) == 8, REBALANCED)
            for partition in range(4):
                site.produce("added", b"added-%d" % partition, partition=partition)
            new = {b"added-%d" % partition for partition in range(4)}
            await second.has(*new)
            assert not new & set(first.bodies)
            site.change(first, "stays", "added")
            await until(
                lambda: all(
                    any("added" in name for name in one.source.status().assigned) and one.source.status().ready
                    for one in both
                ),
                REBALANCED,
            )
            size = len(site.published)
            await until(lambda: len(site.published) > size + 20)
        await until(lambda: set(site.published) <= {*first.bodies, *second.bodies})
        assert sorted([*first.bodies, *second.bodies]) == sorted([*site.published, *new])


async def test_a_pattern_without_a_topic_changes_nothing_until_the_topic_is_created(site: Site) -> None:
    site.topic("stays")
    async with reading(site.node("stays")) as reader:
        await reads(reader, site.whole("stays") + "/0")
        with capture_logs() as logs:
            site.change(reader, "stays", "late.*")
            await until(lambda: "kafka_subscription_changed" in [line["event"] for line in logs])
            await until(lambda: reader.source.status().ready)
            site.produce("stays", b"1")
            await reader.has(b"1")
            assert "kafka_partitions_assigned" not in [line["event"] for line in logs]
        site.topic("late.x", b"first")
        await reader.has(b"first")


async def test_topics_can_be_changed_before_the_broker_is_connected(site: Site) -> None:
    site.topic("first")
    site.topic("second", b"past")
    node = site.node("first")
    node.change_patterns([site.whole("second")])
    async with reading(node) as reader:
        site.change(reader, "first", "second")
        await reads(reader, site.whole("first") + "/0", site.whole("second") + "/0")
        site.produce("second", b"new")
        await reader.has(b"new")
        assert reader.bodies == [b"new"]
