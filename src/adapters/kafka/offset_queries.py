"""Queries Kafka for the committed offsets of a group, for the partitions of topics, and for the first and last offsets
of their logs."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from adapters.kafka.clients import discard, new_consumer
from adapters.kafka.timing import Timing
from adapters.kafka.topic_patterns import Topics

# In milliseconds since 1970. No record has a smaller timestamp, so searching from this time finds the first record that
# has a timestamp.
EPOCH: Final = 0


class FirstRecord(msgspec.Struct, frozen=True):
    """The first record in the log of a partition (retention may have deleted earlier ones). `timestamp` is in
    milliseconds since 1970, set by the producer or by the broker.

    A comparison of the first records found at two times shows whether the topic was deleted and created again in
    between: then the offset has decreased, or the offset is the same and the timestamp differs. Neither happens
    otherwise.
    """

    offset: int
    timestamp: int

    def is_of_another_log_than(self, earlier: "FirstRecord") -> bool:
        return self.offset < earlier.offset or (self.offset == earlier.offset and self.timestamp != earlier.timestamp)


class LogRange(msgspec.Struct, frozen=True):
    """The log of a partition: its first offset, its end (`end`, the offset after the last record that a consumer can
    read now), and its first record. `record` is None if no record in the log has a timestamp."""

    first: int
    end: int
    record: FirstRecord | None = None


async def committed(
    admin: AIOKafkaAdminClient, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """Returns the committed offsets of the group. Partitions without a committed offset are left out. Raises
    KafkaError, also if the response lacks one of `partitions`."""
    # AIOKafkaConsumer.committed is not used: if the whole response is an error (the coordinator is moving or loading),
    # aiokafka 0.14 returns "nothing committed". Then the group would start again at the beginning, or look new.
    if not partitions:
        return {}
    answer = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    if silent := set(partitions) - answer.keys():
        raise KafkaError(f"the coordinator of {group} returned no offsets for {len(silent)} partitions")
    return {partition: position.offset for partition, position in answer.items() if position.offset >= 0}


async def existing_partitions(admin: AIOKafkaAdminClient, topics: Topics) -> list[TopicPartition]:
    """Returns the partitions of all existing topics that match `topics`. Raises KafkaError, also if Kafka can't
    describe one of these topics."""
    matching = [topic for topic in await admin.describe_topics() if topics.expression.match(topic["topic"])]
    for topic in matching:
        if topic["error_code"]:
            # If the topic were left out, the caller would treat it as a topic that does not exist.
            raise for_code(topic["error_code"])(topic["topic"])
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in matching
        for partition in topic["partitions"]
    ]


async def log_ranges(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, LogRange]:
    """Returns the first offset, the end and the first record of each partition's log. If a transaction is open, the end
    is before its first record. Raises KafkaError."""
    beginnings = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    records = await first_records(consumer, partitions)
    return {
        partition: LogRange(beginnings[partition], ends[partition], records.get(partition)) for partition in partitions
    }


async def first_records(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, FirstRecord]:
    """Returns the first record of each partition's log. Partitions in which no record has a timestamp are left out.
    Raises KafkaError."""
    if not partitions:
        return {}
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, EPOCH))
    return {partition: FirstRecord(at.offset, at.timestamp) for partition, at in found.items() if at is not None}


async def log_ranges_without_group(
    options: dict[str, Any], timing: Timing, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, LogRange]:
    """Returns the same as `log_ranges`, for callers without a consumer: connects a temporary consumer, which joins no
    group. Raises KafkaError and TimeoutError."""
    if not partitions:
        return {}
    consumer = new_consumer(options, None, timing)
    try:
        async with asyncio.timeout(timing.connect):
            await consumer.start()
            consumer.assign(partitions)
            consumer.pause(*partitions)
            return await log_ranges(consumer, partitions)
    finally:
        await discard(consumer, timing.leave)
