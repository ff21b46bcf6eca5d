"""Where reading starts in topics that a deployment has not read yet, on a real Kafka. One StartOffsets is the store of
one deployment; it outlives the nodes."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import pytest
from structlog.testing import capture_logs

from adapters.kafka.group_start_offsets import GroupStartOffsets
from adapters.kafka.settings import KafkaSettings, client_options
from adapters.kafka.source import KafkaSource
from adapters.memory.start_offsets import MemoryStartOffsets
from application.ports.start_offsets import ConsumerGroup, StartOffsets
from application.ports.store import StoreUnavailable
from tests.support.kafka import QUICK, RealKafka
from tests.support.reading import Reader, reading, ready, until

APPEARS = 15.0


class Deployment:
    """Nodes of one consumer group with one store. The topics of each test start with `name`, so no other test reads
    them."""

    def __init__(self, kafka: RealKafka, group: str | None = None) -> None:
        self.kafka = kafka
        self.group = group or f"group-{uuid.uuid4().hex}"
        self.name = f"topic-{uuid.uuid4().hex}"
        self.starts: StartOffsets = MemoryStartOffsets()

    def topic(self, name: str, *bodies: bytes, partitions: int = 1) -> str:
        topic = f"{self.name}.{name}"
        self.kafka.create_topic(topic, partitions)
        self.kafka.produce(topic, bodies)
        return topic

    def settings(self, start: Literal["latest", "earliest"] = "latest") -> KafkaSettings:
        return KafkaSettings(self.kafka.servers, group=self.group, start=start)

    def node(self, *patterns: str, start: Literal["latest", "earliest"] = "latest") -> KafkaSource:
        return KafkaSource(self.settings(start), self.whole(patterns), self.starts, QUICK)

    def beginnings(self, *patterns: str) -> GroupStartOffsets:
        settings = self.settings()
        return GroupStartOffsets(settings, client_options(settings), self.whole(patterns), self.starts, QUICK)

    def whole(self, patterns: tuple[str, ...]) -> list[str]:
        return [f"{self.name}.{pattern}" for pattern in patterns]


@pytest.fixture
def deployment(real_kafka: RealKafka) -> Deployment:
    return Deployment(real_kafka)


async def settled(reader: Reader, partitions: int) -> None:
    source = reader.source
    await until(lambda: source.status().ready and len(source.status().assigned) == partitions, what=source.status)


async def run(node: KafkaSource, partitions: int) -> None:
    """Run a node until it has its start offsets, then close it."""
    async with reading(node) as reader:
        await settled(reader, partitions)


async def test_a_topic_of_a_pattern_added_later_starts_at_its_end(deployment: Deployment) -> None:
    old = deployment.topic("old")
    added = deployment.topic("added", *[b"past"] * 30)
    await run(deployment.node("old"), 1)
    with capture_logs() as logs:
        async with reading(deployment.node("old", "added")) as reader:
            await settled(reader, 2)
            assert reader.source.status().begins == {f"{old}/0": 0, f"{added}/0": 30}
            deployment.kafka.produce(added, [b"new"])
            await reader.has(b"new")
            assert reader.bodies == [b"new"]
    (begun,) = [line for line in logs if line["event"] == "kafka_topic_start"]
    assert (begun["topic"], begun["offsets"], begun["rule"]) == (added, {0: 30}, "end")
    partition = next(line for line in logs if line["event"] == "kafka_partition_start")
    assert (partition["partition"], partition["offset"], partition["rule"]) == (f"{added}/0", 30, "remembered")


async def test_a_topic_of_a_pattern_added_later_starts_at_its_beginning_with_earliest(
    deployment: Deployment,
) -> None:
    deployment.topic("old")
    deployment.topic("added", b"past")
    await run(deployment.node("old"), 1)
    async with reading(deployment.node("old", "added", start="earliest")) as reader:
        await reader.has(b"past")


async def test_a_topic_created_while_no_node_ran_starts_at_its_beginning(deployment: Deployment) -> None:
    await run(deployment.node("late"), 0)
    deployment.topic("late", b"first", b"second")
    async with reading(deployment.node("late")) as reader:
        await reader.has(b"first", b"second")


async def test_a_partition_added_while_no_node_ran_starts_at_its_beginning(deployment: Deployment) -> None:
    topic = deployment.topic("old", b"past")
    await run(deployment.node("old"), 1)
    deployment.kafka.add_partitions(topic, 2)
    deployment.kafka.produce(topic, [b"first"], partition=1)
    # The pattern is widened at the same time; the topic was read before, so it does not count as new.
    async with reading(deployment.node("*")) as reader:
        await reader.has(b"first")
        assert b"past" not in reader.bodies


async def test_a_widened_pattern_keeps_known_topics_and_starts_others_at_their_end(deployment: Deployment) -> None:
    known = deployment.topic("known", b"past of known")
    await run(deployment.node("known"), 1)
    unread = deployment.topic("unread", b"past of unread")
    deployment.kafka.produce(known, [b"while down"])
    async with reading(deployment.node("*")) as reader:
        await settled(reader, 2)
        late = deployment.topic("late", b"first of late")
        deployment.kafka.produce(unread, [b"new"])
        await reader.has(b"while down", b"new", b"first of late", seconds=APPEARS)
        assert {message.source for message in reader.messages} == {known, unread, late}
        assert len(reader.bodies) == 3


@pytest.mark.parametrize("store", ["the same", "its own"])
async def test_another_deployment_with_other_profiles_in_the_same_group(deployment: Deployment, store: str) -> None:
    deployment.topic("a", b"past of a")
    topic = deployment.topic("b", b"past of b")
    other = Deployment(deployment.kafka, deployment.group)
    other.name = deployment.name
    if store == "the same":
        other.starts = deployment.starts
    async with reading(deployment.node("a")) as first:
        await settled(first, 1)
        async with reading(other.node("b")) as second:
            await settled(second, 1)
            await until(lambda: first.source.status().ready)
            deployment.kafka.produce(topic, [b"new"])
            await second.has(b"new")
            assert (first.bodies, second.bodies) == ([], [b"new"])


async def test_several_nodes_that_start_together(deployment: Deployment) -> None:
    topic = deployment.topic("t", *[b"past"] * 20, partitions=3)
    async with (
        reading(deployment.node("t")) as a,
        reading(deployment.node("t")) as b,
        reading(deployment.node("t")) as c,
    ):
        nodes = [a, b, c]
        await until(lambda: all(len(node.source.status().assigned) == 1 for node in nodes), 40)
        for partition in range(3):
            deployment.kafka.produce(topic, [b"new %d" % partition], partition=partition)
        await until(
            lambda: sorted(body or b"" for node in nodes for body in node.bodies) == [b"new 0", b"new 1", b"new 2"]
        )


async def test_events_published_after_a_crash_before_joining_the_group_are_read(deployment: Deployment) -> None:
    topic = deployment.topic("t", b"past")
    # Everything that a node does before it joins the group.
    await deployment.beginnings("t").configure()
    deployment.kafka.produce(topic, [b"while down"])
    async with reading(deployment.node("t")) as reader:
        await reader.has(b"while down")
        assert reader.bodies == [b"while down"]
    assert deployment.kafka.committed(deployment.group) == {(topic, 0): 2}


async def test_a_node_killed_before_it_acknowledged_restarts_at_the_same_offset(deployment: Deployment) -> None:
    topic = deployment.topic("t", b"past")
    first = deployment.node("t")
    await first.open()
    await ready(first)
    deployment.kafka.produce(topic, [b"taken"])
    await asyncio.wait_for(first.take(), 20)
    await deployment.kafka.expel(deployment.group)
    await first.close()
    async with reading(deployment.node("t")) as reader:
        await reader.has(b"taken")
        assert b"past" not in reader.bodies


class Overtaken(MemoryStartOffsets):
    """After the first read by this node, another node configures the same patterns, and then a topic appears."""

    def __init__(self, patterns: list[str], appears: Callable[[], object]) -> None:
        super().__init__()
        self._overtaking = patterns
        self._appears = appears

    async def patterns(self, group: ConsumerGroup) -> dict[str, datetime]:
        found = await super().patterns(group)
        if self._overtaking:
            await super().add(group, self._overtaking, {}, datetime.now(UTC))
            self._overtaking = []
            await asyncio.to_thread(self._appears)
        return found


async def test_a_node_overtaken_by_another_treats_a_new_topic_as_new(deployment: Deployment) -> None:
    deployment.starts = Overtaken([f"{deployment.name}.t"], lambda: deployment.topic("t", b"first"))
    async with reading(deployment.node("t")) as reader:
        await reader.has(b"first")


async def test_the_first_start_after_the_upgrade_uses_committed_offsets(deployment: Deployment) -> None:
    """The previous version stored no start offsets; its group has committed offsets."""
    read = deployment.topic("read", b"past")
    await run(deployment.node("read"), 1)
    deployment.starts = MemoryStartOffsets()
    unread = deployment.topic("unread", b"past")
    deployment.kafka.produce(read, [b"while down"])
    deployment.kafka.add_partitions(read, 2)
    deployment.kafka.produce(read, [b"new partition"], partition=1)
    async with reading(deployment.node("read", "unread")) as reader:
        await reader.has(b"while down", b"new partition")
        deployment.kafka.produce(unread, [b"new"])
        await reader.has(b"new")
        assert b"past" not in reader.bodies
        assert reader.source.status().begins == {f"{read}/0": 1, f"{read}/1": 0, f"{unread}/0": 1}


async def test_stored_start_offsets_apply_when_committed_offsets_are_deleted(deployment: Deployment) -> None:
    topic = deployment.topic("t", b"past", b"past")
    async with reading(deployment.node("t")) as reader:
        await settled(reader, 1)
        deployment.kafka.produce(topic, [b"read before"])
        await reader.has(b"read before")
    deployment.kafka.delete_group(deployment.group)
    deployment.kafka.produce(topic, [b"while down"])
    async with reading(deployment.node("t")) as reader:
        await reader.has(b"while down")
        assert reader.bodies == [b"read before", b"while down"]


async def test_without_a_database_an_unknown_topic_starts_at_its_end_at_each_start(deployment: Deployment) -> None:
    topic = deployment.topic("t", b"past")
    await run(deployment.node("t"), 1)
    deployment.kafka.delete_group(deployment.group)
    deployment.kafka.produce(topic, [b"while down"])
    deployment.starts = MemoryStartOffsets()
    async with reading(deployment.node("t")) as reader:
        await settled(reader, 1)
        deployment.kafka.produce(topic, [b"new"])
        await reader.has(b"new")
        assert reader.bodies == [b"new"]


async def test_a_topic_deleted_and_recreated_starts_at_its_beginning(deployment: Deployment) -> None:
    topic = deployment.topic("t", *[b"past"] * 5)
    await run(deployment.node("t"), 1)
    deployment.kafka.delete_topic(topic)
    deployment.topic("t", b"first")
    async with reading(deployment.node("t")) as reader:
        await reader.has(b"first")


def fifteen(word: str) -> list[bytes]:
    return [f"{word} {number}".encode() for number in range(15)]


async def test_a_topic_recreated_with_more_records_than_before_starts_at_its_beginning(
    deployment: Deployment,
) -> None:
    topic = deployment.topic("d", *[b"past"] * 10)
    async with reading(deployment.node("*")) as reader:
        await settled(reader, 1)
        deployment.kafka.produce(topic, [b"read 1", b"read 2"])
        await reader.has(b"read 1", b"read 2")
    deployment.kafka.delete_topic(topic)
    deployment.topic("d", *fifteen("new"))
    (found,) = await deployment.beginnings("*").survey()
    assert (found.offset, found.end, found.reason) == (0, 15, "recreated")
    with capture_logs() as logs:
        async with reading(deployment.node("*")) as reader:
            await reader.has(*fifteen("new"))
    begun = next(line for line in logs if line["event"] == "kafka_partition_start")
    assert (begun["partition"], begun["offset"], begun["rule"]) == (f"{topic}/0", 0, "recreated")
    # Commits in the new log count. Without them the recreation is still recognised.
    deployment.kafka.delete_group(deployment.group)
    async with reading(deployment.node("*")) as reader:
        await reader.has(*fifteen("new"))


@pytest.mark.parametrize("noticed", ["its absence is noticed", "between two fetches"])
async def test_a_topic_recreated_while_a_node_reads_it_starts_at_its_beginning(
    deployment: Deployment, noticed: str
) -> None:
    topic = deployment.topic("d", *[b"past"] * 10)
    async with reading(deployment.node("*")) as reader:
        await settled(reader, 1)
        deployment.kafka.produce(topic, [b"read 1", b"read 2"])
        await reader.has(b"read 1", b"read 2")
        # These calls block the event loop, so the node does not run between two awaits.
        deployment.kafka.delete_topic(topic)
        if noticed == "its absence is noticed":
            await until(lambda: not reader.source.status().assigned, 40, reader.source.status)
        deployment.topic("d", *fifteen("new"))
        await reader.has(*fifteen("new"), seconds=40)
        assert b"past" not in reader.bodies
        await settled(reader, 1)
    assert deployment.kafka.committed(deployment.group) == {(topic, 0): 15}


class Unavailable(MemoryStartOffsets):
    """A store whose first calls fail as unavailable."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._calls = calls

    async def patterns(self, group: ConsumerGroup) -> dict[str, datetime]:
        self._calls -= 1
        if self._calls >= 0:
            raise StoreUnavailable("no connection")
        return await super().patterns(group)


async def test_nothing_is_read_while_the_store_is_unavailable_and_the_status_says_so(deployment: Deployment) -> None:
    topic = deployment.topic("t", b"past")
    deployment.starts = Unavailable(2)
    async with reading(deployment.node("t")) as reader:
        await until(lambda: "the store is unavailable: no connection" in reader.source.status().reason)
        assert not reader.source.status().ready
        await settled(reader, 1)
        deployment.kafka.produce(topic, [b"new"])
        await reader.has(b"new")
        assert reader.bodies == [b"new"]


async def test_a_survey_reports_the_start_of_every_partition_and_writes_nothing(deployment: Deployment) -> None:
    read = deployment.topic("read", b"past")
    await run(deployment.node("read", "late"), 1)
    unread = deployment.topic("unread", b"past", b"past")
    late = deployment.topic("late", b"first")
    deployment.kafka.produce(read, [b"while down"])
    for _ in range(2):
        found = await deployment.beginnings("read", "late", "unread").survey()
        assert {one.partition.topic: (one.offset, one.end, one.reason) for one in found} == {
            read: (1, 2, "committed"),
            late: (0, 1, "beginning"),
            unread: (2, 2, "end"),
        }
