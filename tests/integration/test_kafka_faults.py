"""The Kafka adapter on a real broker, under faults."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest
from msgspec.structs import replace

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.source import KafkaSource
from adapters.kafka.timing import Timing
from adapters.memory.start_offsets import MemoryStartOffsets
from application.ports.event_source import NotAcknowledged
from application.ports.start_offsets import StartOffsets
from tests.support.kafka import QUICK, Cluster, RealKafka
from tests.support.reading import reading, ready, until

# Seconds within which a new topic or partition must be read.
APPEARS = 15.0


@pytest.fixture
async def kafka(real_kafka: RealKafka) -> AsyncIterator[RealKafka]:
    """The shared broker. It is started again after the test."""
    yield real_kafka
    if not real_kafka.running:
        await asyncio.to_thread(real_kafka.start)


@pytest.fixture
def topic() -> str:
    """A unique name for topic and group. The topic is not created."""
    return f"topic-{uuid.uuid4().hex}"


def source(
    kafka: RealKafka,
    group: str,
    *patterns: str,
    start: Literal["latest", "earliest"] = "latest",
    timing: Timing = QUICK,
    starts: StartOffsets | None = None,
) -> KafkaSource:
    """Return a source that is not yet opened. Without patterns it reads the topic named like its group; without
    `starts` it has its own store in memory."""
    settings = KafkaSettings(kafka.servers, group=group, start=start)
    return KafkaSource(settings, patterns or [group], starts or MemoryStartOffsets(), timing)


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


async def test_a_killed_broker_makes_the_node_unready_and_nothing_is_lost(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic, 2)
    async with reading(source(kafka, topic)) as reader:
        await ready(reader.source)
        kafka.produce(topic, numbered(100))
        await reader.has(*numbered(100))
        kafka.produce(topic, numbered(100, 100), partition=1)
        kafka.kill9()
        await until(lambda: not reader.source.status().ready, 10, reader.source.status)
        assert "does not answer" in reader.source.status().reason

        # Another one, opened while the broker is down, connects later.
        late = source(kafka, f"{topic}-late", topic)
        async with asyncio.timeout(1):
            await late.open()
        async with reading(late):
            await until(lambda: "Unable to bootstrap" in late.status().reason, what=late.status)
            assert not late.status().ready
            await asyncio.to_thread(kafka.start)
            await ready(late, 20)

        kafka.produce(topic, numbered(100, 200))
        await reader.has(*numbered(300), seconds=30)
        await ready(reader.source)
        of_first_partition = [body for body in reader.once if not 100 <= int(body or b"") < 200]
        assert of_first_partition == numbered(100) + numbered(100, 200)


async def test_a_frozen_broker_is_detected_and_reconnected(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    timing = replace(QUICK, silence=3.0, leave=0.5)
    async with reading(source(kafka, topic, timing=timing)) as reader:
        await ready(reader.source)
        kafka.produce(topic, [b"before"])
        await reader.has(b"before")
        with kafka.frozen():
            await until(lambda: not reader.source.status().ready, 5, reader.source.status)
            await until(lambda: "has not answered" in reader.source.status().reason, 10, reader.source.status)
        kafka.produce(topic, [b"after"])
        await reader.has(b"after", seconds=30)
        await ready(reader.source)
        assert reader.once == [b"before", b"after"]


async def test_a_source_closes_within_seconds_while_the_broker_is_frozen(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    node = source(kafka, topic)
    await node.open()
    await ready(node)
    with kafka.frozen():
        async with asyncio.timeout(5):
            await node.close()


async def test_a_topic_that_appears_later_is_read_from_its_first_event(kafka: RealKafka, topic: str) -> None:
    late = f"{topic}-late"
    kafka.create_topic(topic)
    async with reading(source(kafka, topic, topic, late, timing=Timing())) as reader:
        await ready(reader.source)
        assert reader.source.status().reason == f"waiting for topics: {late}"
        kafka.create_topic(late)
        kafka.produce(late, [b"first", b"second"])
        await reader.has(b"first", b"second", seconds=APPEARS)
        await ready(reader.source)
        assert not reader.source.status().reason


async def test_the_first_topic_of_a_group_is_read_from_its_first_event(kafka: RealKafka, topic: str) -> None:
    node = source(kafka, topic)
    await node.open()
    await ready(node)
    kafka.create_topic(topic)
    kafka.produce(topic, [b"first"])
    # A node that takes over before anything was acknowledged does not mistake the group for a new one.
    await until(lambda: bool(node.status().assigned), APPEARS, node.status)
    await node.close()
    async with reading(source(kafka, topic)) as reader:
        await reader.has(b"first")


async def test_a_node_that_starts_beside_a_running_one_does_not_skip_to_the_end(kafka: RealKafka, topic: str) -> None:
    # The first node, already a member, discovers the topic only when the second one triggers a rebalance.
    starts = MemoryStartOffsets()
    first = source(kafka, topic, timing=replace(QUICK, metadata_age=300), starts=starts)
    await first.open()
    await ready(first)
    kafka.create_topic(topic)
    kafka.produce(topic, [b"first"])
    async with reading(source(kafka, topic, starts=starts)) as second:
        await ready(second.source)
        await first.close()
        await second.has(b"first", seconds=APPEARS)


async def test_a_partition_that_appears_later_is_read_from_its_first_event(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    async with reading(source(kafka, topic)) as reader:
        await ready(reader.source)
        kafka.add_partitions(topic, 2)
        kafka.produce(topic, [b"first"], partition=1)
        await reader.has(b"first", seconds=APPEARS)


async def test_a_new_group_starts_at_the_end_and_commits_that_immediately(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic, 2)
    kafka.produce(topic, [b"old"] * 5)
    node = source(kafka, topic)
    await node.open()
    await ready(node)
    assert kafka.committed(topic) == {(topic, 0): 5, (topic, 1): 0}
    await node.close()
    kafka.produce(topic, [b"while away"])
    kafka.produce(topic, [b"elsewhere"], partition=1)
    async with reading(source(kafka, topic)) as reader:
        await reader.has(b"while away", b"elsewhere")
        assert b"old" not in reader.bodies


async def test_a_new_group_starts_at_the_beginning_with_earliest(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    kafka.produce(topic, [b"old"])
    async with reading(source(kafka, topic, start="earliest")) as reader:
        await reader.has(b"old")


async def test_a_wildcard_pattern_reads_only_matching_topics(kafka: RealKafka, topic: str) -> None:
    for name in ("one", "one.two"):
        kafka.create_topic(f"{topic}.{name}")
    async with reading(source(kafka, topic, f"{topic}.*")) as reader:
        await ready(reader.source)
        kafka.create_topic(f"{topic}.three")
        kafka.produce(f"{topic}.one.two", [b"too deep"])
        kafka.produce(f"{topic}.one", [b"matches"])
        kafka.produce(f"{topic}.three", [b"appeared"])
        await reader.has(b"matches", b"appeared", seconds=APPEARS)
        assert {message.source for message in reader.messages} == {f"{topic}.one", f"{topic}.three"}


async def test_nodes_share_the_partitions_and_take_over_from_one_that_closes(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic, 2)
    async with reading(source(kafka, topic)) as first:
        await ready(first.source)
        async with reading(source(kafka, topic)) as second, reading(source(kafka, topic)) as idle:
            nodes = [first, second, idle]

            def held() -> list[int]:
                return sorted(len(node.source.status().assigned) for node in nodes)

            await until(lambda: held() == [0, 1, 1], what=held)
            # A node without partitions has nothing to do and is ready.
            await until(lambda: all(node.source.status().ready for node in nodes))
            for partition in (0, 1):
                kafka.produce(topic, numbered(50, 50 * partition), partition=partition)
            await until(lambda: {b for node in nodes for b in node.bodies} == set(numbered(100)))
        await until(lambda: len(first.source.status().assigned) == 2, what=first.source.status)
        for partition in (0, 1):
            kafka.produce(topic, [b"taken over %d" % partition], partition=partition)
        await first.has(b"taken over 0", b"taken over 1")
        # Everything was acknowledged before the partitions moved, so there were no duplicates.
        assert len([b for node in nodes for b in node.bodies]) == 102


async def test_a_batch_in_progress_is_committed_before_its_partitions_are_revoked(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic, 2)
    node = source(kafka, topic)
    await node.open()
    await ready(node)
    kafka.produce(topic, [b"in work"])
    batch = await node.take()
    async with reading(source(kafka, topic)) as second:
        await until(lambda: "joining" in node.status().reason, what=node.status)
        await node.acknowledge(batch)
        await ready(second.source)
        await ready(node)
        kafka.produce(topic, [b"next"])
        kafka.produce(topic, [b"next"], partition=1)
        await second.has(b"next")
        assert b"in work" not in second.bodies
        await node.close()


async def test_a_late_acknowledgement_is_refused_for_revoked_partitions(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic, 2)
    for partition in (0, 1):
        kafka.produce(topic, numbered(5, partition * 5), partition=partition)
    node = source(kafka, topic, start="earliest", timing=replace(QUICK, grace=0.2))
    await node.open()
    await until(lambda: node.status().lag == 0, what=node.status)
    batch = await node.take()
    assert {message.body for message in batch.messages} == set(numbered(10))
    other = source(kafka, topic)
    await other.open()
    await until(lambda: len(node.status().assigned) == len(other.status().assigned) == 1, what=node.status)
    with pytest.raises(NotAcknowledged, match="no longer assigned"):
        await node.acknowledge(batch)
    (kept,) = node.status().assigned
    expected = {(topic, n): 5 if kept == f"{topic}/{n}" else 0 for n in (0, 1)}
    await until(lambda: kafka.committed(topic) == expected, what=lambda: kafka.committed(topic))
    redelivered = await asyncio.wait_for(other.take(), 10)
    assert len(redelivered.messages) == 5
    await node.close()
    await other.close()


async def test_a_slow_taker_stays_a_group_member(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    node = source(kafka, topic, timing=replace(QUICK, max_poll_interval=1.0, patience=0.25))
    await node.open()
    await ready(node)
    kafka.produce(topic, numbered(1_200))
    batch = await node.take()
    taken = list(batch.messages)
    # Two batches wait behind this one, and the taker needs longer than the maximum poll interval.
    await asyncio.sleep(2)
    assert node.status().ready
    await node.acknowledge(batch)
    while len(taken) < 1_200:
        batch = await asyncio.wait_for(node.take(), 10)
        taken.extend(batch.messages)
        await node.acknowledge(batch)
    assert [message.body for message in taken] == numbered(1_200)
    await node.close()


async def test_a_record_becomes_a_message(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    async with reading(source(kafka, topic)) as reader:
        await ready(reader.source)
        headers = {"Ce-Id": "grün".encode(), "broken": b"\xff"}
        kafka.produce(topic, [None], key=b"order-7", headers=headers, timestamp=1_700_000_000_123)
        await until(lambda: bool(reader.messages))
        (message,) = reader.messages
        assert (message.source, message.body, message.key) == (topic, None, "order-7")
        assert message.headers == {"ce-id": "grün", "broken": "\ufffd"}
        assert message.time.isoformat() == "2023-11-14T22:13:20.123000+00:00"
        assert message.fallback_id == f"{topic}/0/0/1700000000123"


async def test_aborted_transactions_are_neither_delivered_nor_counted_as_lag(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)
    async with reading(source(kafka, topic)) as reader:
        await ready(reader.source)
        kafka.produce_in_transaction(topic, [b"taken back"], abort=True)
        kafka.produce_in_transaction(topic, [b"meant"], abort=False)
        await reader.has(b"meant")
        await until(lambda: reader.source.status().lag == 0, what=reader.source.status)
        assert reader.bodies == [b"meant"]


async def test_the_group_lag_becomes_zero_after_transaction_markers(kafka: RealKafka, topic: str) -> None:
    kafka.create_topic(topic)

    def lag() -> int:
        return kafka.end(topic) - kafka.committed(topic).get((topic, 0), 0)

    async with reading(source(kafka, topic)) as reader:
        await ready(reader.source)
        # Only a marker and aborted records: there is no record that could be acknowledged.
        kafka.produce_in_transaction(topic, [b"taken back"], abort=True)
        await until(lambda: lag() == 0, what=lambda: (kafka.committed(topic), kafka.end(topic)))
        for number in range(3):
            kafka.produce_in_transaction(topic, [b"meant %d" % number], abort=False)
        await reader.has(b"meant 0", b"meant 1", b"meant 2")
        await until(lambda: lag() == 0, what=lambda: (kafka.committed(topic), kafka.end(topic)))
        assert kafka.committed(topic) == {(topic, 0): 2 + 3 * 2}


async def test_transaction_markers_after_a_batch_are_not_committed_before_it_is_stored(
    kafka: RealKafka, topic: str
) -> None:
    kafka.create_topic(topic, 2)
    node = source(kafka, topic, timing=replace(QUICK, poll=0.05))
    await node.open()
    await ready(node)
    kafka.produce_in_transaction(topic, [b"first"], abort=False)
    first = await asyncio.wait_for(node.take(), 20)
    kafka.produce_in_transaction(topic, [b"second"], abort=False)
    kafka.produce_in_transaction(topic, [b"taken back"], abort=True)
    # The second batch is fetched ahead; later polls return nothing.
    second = await asyncio.wait_for(node.take(), 20)
    polled = node.status().last_poll
    assert polled is not None
    await until(lambda: (node.status().last_poll or polled) > polled + timedelta(seconds=1))
    assert kafka.committed(topic) == {(topic, 0): 0, (topic, 1): 0}
    await node.acknowledge(first)
    await until(lambda: kafka.committed(topic)[topic, 0] > 0)
    # The commit may include the marker of the first transaction, and nothing after it.
    assert kafka.committed(topic)[topic, 0] in (1, 2)
    await kafka.expel(topic)
    await node.close()
    async with reading(source(kafka, topic)) as reader:
        await reader.has(b"second")
        assert reader.bodies == [b"second"]
        await until(lambda: kafka.committed(topic)[topic, 0] == kafka.end(topic))
    assert [message.body for message in second.messages] == [b"second"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_codec_is_supported(kafka: RealKafka, topic: str, codec: str) -> None:
    kafka.create_topic(topic)
    async with reading(source(kafka, topic, start="earliest")) as reader:
        Cluster(kafka.servers, codec).produce(topic, [b"x" * 1_000] * 20)
        await until(lambda: len(reader.bodies) == 20, what=reader.source.status)
        assert set(reader.bodies) == {b"x" * 1_000}
