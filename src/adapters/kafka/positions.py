"""What Kafka says of a group and of the topics: committed offsets, partitions, and the ends of their logs."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from adapters.kafka.clients import discard, new_consumer
from adapters.kafka.timing import Timing
from adapters.kafka.topics import Topics

# No record is older, in milliseconds since 1970.
EPOCH: Final = 0


class FirstRecord(msgspec.Struct, frozen=True):
    """The first record that a partition still holds. `timestamp` is in milliseconds since 1970, as the producer or the
    broker has set it.

    In one log, `offset` only grows, and a record never changes its timestamp. So where `offset` went back, or the same
    offset has another timestamp, the topic was deleted and created again.
    """

    offset: int
    timestamp: int

    def is_of_another_log_than(self, earlier: "FirstRecord") -> bool:
        return self.offset < earlier.offset or (self.offset == earlier.offset and self.timestamp != earlier.timestamp)


class LogRange(msgspec.Struct, frozen=True):
    """What a partition holds: its first offset, the one that its next record gets, and its first record, where there is
    one with a timestamp."""

    first: int
    end: int
    record: FirstRecord | None = None


async def committed(
    admin: AIOKafkaAdminClient, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """The group's committed positions; a partition without one is left out. Raises KafkaError.

    The consumer's own `committed` is not to be trusted: an error that stands for the whole answer (the coordinator is
    moving, or loading) is overlooked by aiokafka 0.14 and looks like "nothing committed", which would send the
    group back to the beginning, or make it look new. So an answer must speak of every partition that was asked for.
    """
    if not partitions:
        return {}
    answer = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    if silent := set(partitions) - answer.keys():
        raise KafkaError(f"the coordinator of {group} did not tell the positions of {len(silent)} partitions")
    return {partition: position.offset for partition, position in answer.items() if position.offset >= 0}


async def existing_partitions(admin: AIOKafkaAdminClient, topics: Topics) -> list[TopicPartition]:
    """The partitions of all topics that match. Raises KafkaError, also where Kafka can't describe one of the topics:
    a topic that is left out would look like one that does not exist."""
    matching = [topic for topic in await admin.describe_topics() if topics.expression.match(topic["topic"])]
    for topic in matching:
        if topic["error_code"]:
            raise for_code(topic["error_code"])(topic["topic"])
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in matching
        for partition in topic["partitions"]
    ]


async def log_ranges(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, LogRange]:
    """What each partition holds now. An open transaction is beyond the end. Raises KafkaError."""
    beginnings = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    records = await first_records(consumer, partitions)
    return {
        partition: LogRange(beginnings[partition], ends[partition], records.get(partition)) for partition in partitions
    }


async def first_records(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, FirstRecord]:
    """The first record of each partition; one that holds none, or none with a timestamp, is left out. Raises
    KafkaError."""
    if not partitions:
        return {}
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, EPOCH))
    return {partition: FirstRecord(at.offset, at.timestamp) for partition, at in found.items() if at is not None}


async def log_ranges_from_outside(
    options: dict[str, Any], timing: Timing, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, LogRange]:
    """The same without being a member of any group."""
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
