"""Where a group stands, and where one begins that Kafka has never seen."""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, KafkaError

from adapters.kafka.clients import administration, discard, new_consumer
from adapters.kafka.timing import Timing
from adapters.kafka.topics import Topics

log = structlog.get_logger(__name__)


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


async def begin_at_end(options: dict[str, Any], group: str, topics: Topics, timing: Timing) -> None:
    """If the group was never seen, makes the end of every partition there is its committed position.

    A group was seen once it has a committed position on any partition of its topics. Done before a node joins, and
    committed as one who is no member, which is what makes it safe:

    - Kafka takes a commit from outside only while the group has no members, and refuses it otherwise. So of several
      nodes that start together one may repeat what another did a moment ago, but never once anyone reads.
    - It is one commit: a crash leaves all of it or nothing, and nothing means that the group is yet to be seen.
    - Whoever joins later finds no position only on what appeared since, and begins at its beginning (and commits
      that at once: see Membership). So the first event of a new topic or partition is not skipped.

    Where no topic exists yet nothing can be committed; what appears while this process runs is then read from its
    beginning, but a process started afterwards sees the group for the first time.
    """
    async with asyncio.timeout(timing.connect), administration(options) as admin:
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics()
            if topics.expression.match(topic["topic"])
            for partition in topic["partitions"]
        ]
        if not partitions or await committed(admin, group, partitions):
            return
    consumer = new_consumer(options, group, timing)
    try:
        async with asyncio.timeout(timing.connect):
            await consumer.start()
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))
    except CommitFailedError:
        log.info("the group has members already", group=group)
    else:
        log.info("first sight of the group: it begins at the end", group=group, partitions=len(partitions))
    finally:
        await discard(consumer, timing.leave)
