"""What Kafka says of a group and of the topics: committed offsets, partitions, and the ends of their logs."""

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from adapters.kafka.clients import discard, new_consumer
from adapters.kafka.timing import Timing
from adapters.kafka.topics import Topics

# The first offset that a partition still holds, and the one that its next record gets.
LogRange = tuple[int, int]


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
    return {partition: (beginnings[partition], ends[partition]) for partition in partitions}


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
