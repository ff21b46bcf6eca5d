"""Where a consumer group begins on partitions that have no committed offset."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, Literal

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from adapters.kafka.clients import administration
from adapters.kafka.positions import (
    FirstRecord,
    LogRange,
    committed,
    existing_partitions,
    log_ranges,
    log_ranges_from_outside,
)
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.timing import Timing
from adapters.kafka.topics import Topics
from application.ports.start_offsets import ConsumerGroup, StartOffset, StartOffsets
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

# For reading remembered offsets that are only shown, in seconds: a rebalance does not wait longer for them.
DISPLAY_TIMEOUT_S: Final = 1.0

# A survey is not repeated by a supervisor, so it tries again itself.
SURVEY_RETRIES: Final = 10
SURVEY_RETRY_S: Final = 0.5

# `committed`: at the group's commit. `remembered`: at the offset in the store. `end`: the topic was never read here.
# `beginning`: the topic or partition appeared after its pattern was configured, or HERALD_KAFKA_START is earliest.
# `recreated`: at the beginning, since the topic was deleted and created again after its offset was remembered.
Reason = Literal["committed", "remembered", "end", "beginning", "recreated"]


class Beginning(msgspec.Struct, frozen=True):
    """Where the group begins on a partition, and why. `end` is the offset that the next record gets."""

    partition: TopicPartition
    offset: int
    end: int
    reason: Reason


def decide(
    ranges: Mapping[TopicPartition, LogRange],
    commits: Mapping[TopicPartition, int],
    remembered: Mapping[TopicPartition, StartOffset],
    unknown: Collection[str],
    start: Literal["latest", "earliest"],
) -> list[Beginning]:
    """Where the group begins on each partition, in their order.

    `unknown` are the topics that no pattern configured before matches. One of them that has a commit was read all the
    same, by a version that remembered nothing. A remembered offset counts only in the log that it was taken from: the
    records before it were there when it was decided, so they are older. A log that does not reach it, or whose first
    record is before it and not older than the decision, belongs to a topic that was deleted and created again.
    """
    read = {partition.topic for partition in commits}
    found = []
    for partition, held in sorted(ranges.items()):
        offset, reason = _offset(partition, held, commits, remembered)
        if reason == "beginning" and start == "latest" and partition.topic in unknown and partition.topic not in read:
            offset, reason = held.end, "end"
        found.append(Beginning(partition, offset, held.end, reason))
    return found


def _offset(
    partition: TopicPartition,
    held: LogRange,
    commits: Mapping[TopicPartition, int],
    remembered: Mapping[TopicPartition, StartOffset],
) -> tuple[int, Reason]:
    if partition in commits:
        return commits[partition], "committed"
    start = remembered.get(partition)
    if start is None or start.offset < held.first:
        return held.first, "beginning"
    if start.offset > held.end or _is_younger(held.record, start):
        return held.first, "recreated"
    return start.offset, "remembered"


def _is_younger(record: FirstRecord | None, start: StartOffset) -> bool:
    """Whether a log that begins with this record can't be the one that the offset was taken from."""
    return (
        record is not None and record.offset < start.offset and record.timestamp / 1000 >= start.decided_at.timestamp()
    )


class Beginnings:
    """Decides where the group begins, together with all nodes that share the store.

    Before a node joins, `configure` determines the ends of the topics that a pattern matches which was never configured
    for this group, and stores pattern and ends in one transaction. What is not stored then did not exist, so it begins
    at its beginning; that is stored as well when the partition is first assigned. A crash leaves all of it or nothing,
    and of several nodes the first one decides for all. Positions that Kafka has committed always count first.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        options: dict[str, Any],
        patterns: Sequence[str],
        starts: StartOffsets,
        timing: Timing,
    ) -> None:
        # What is remembered, as of the last read.
        self.remembered: dict[TopicPartition, StartOffset] = {}
        self._settings = settings
        self._options = options
        self._patterns = patterns
        self._starts = starts
        self._timing = timing
        self._group: ConsumerGroup | None = None

    async def configure(self) -> None:
        """To be called before the node joins. Returns once every pattern is stored. Raises KafkaError, TimeoutError and
        StoreUnavailable."""
        async with self._administration() as (admin, group):
            known = await self._starts.patterns(group)
            while new := [pattern for pattern in self._patterns if pattern not in known]:
                found = [one for one in await self._survey(admin, new, known, {}) if not _matches(known, one.partition)]
                offsets = {(one.partition.topic, one.partition.partition): one.offset for one in found}
                if await self._starts.add(group, new, offsets, datetime.now(UTC)):
                    _log_topics(found, group.name)
                    break
                known = await self._starts.patterns(group)
            await self._read(group)
            self._group = group

    async def on_assigned(
        self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition], commits: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Where to begin on the assigned partitions that have no commit. Raises KafkaError and StoreUnavailable."""
        if self._group is None:
            raise RuntimeError("configure() comes first")
        missing = [partition for partition in assigned if partition not in commits]
        if not missing:
            if not self.remembered.keys() >= set(assigned):
                with suppress(StoreUnavailable, TimeoutError):
                    async with asyncio.timeout(DISPLAY_TIMEOUT_S):
                        await self._read(self._group)
            return {}
        await self._read(self._group)
        found = decide(await log_ranges(consumer, missing), {}, self.remembered, (), self._settings.start)
        if unseen := [one for one in found if one.partition not in self.remembered]:
            offsets = {(one.partition.topic, one.partition.partition): one.offset for one in unseen}
            await self._starts.add(self._group, (), offsets, datetime.now(UTC))
            await self._read(self._group)
        for one in found:
            where = f"{one.partition.topic}/{one.partition.partition}"
            log.info("kafka_partition_start", partition=where, offset=one.offset, end_offset=one.end, rule=one.reason)
        return {one.partition: one.offset for one in found}

    async def survey(self) -> list[Beginning]:
        """Where the group would begin on every partition that exists now. Writes nothing, and joins no group. Raises
        KafkaError, TimeoutError and StoreUnavailable."""
        async with self._administration() as (admin, group):
            known = await self._starts.patterns(group)
            await self._read(group)
            for _ in range(SURVEY_RETRIES):
                # The first group of a cluster has no coordinator until Kafka has created the topic of all commits.
                with suppress(KafkaError):
                    return await self._survey(admin, self._patterns, known, self.remembered)
                await asyncio.sleep(SURVEY_RETRY_S)
            return await self._survey(admin, self._patterns, known, self.remembered)

    async def _survey(
        self,
        admin: AIOKafkaAdminClient,
        patterns: Sequence[str],
        known: Collection[str],
        remembered: Mapping[TopicPartition, StartOffset],
    ) -> list[Beginning]:
        partitions = await existing_partitions(admin, Topics(patterns))
        commits = await committed(admin, self._settings.group, partitions)
        ranges = await log_ranges_from_outside(self._options, self._timing, partitions)
        unknown = {partition.topic for partition in partitions if not _matches(known, partition)}
        return decide(ranges, commits, remembered, unknown, self._settings.start)

    async def _read(self, group: ConsumerGroup) -> None:
        self.remembered = {TopicPartition(*place): at for place, at in (await self._starts.offsets(group)).items()}

    @asynccontextmanager
    async def _administration(self) -> AsyncIterator[tuple[AIOKafkaAdminClient, ConsumerGroup]]:
        async with asyncio.timeout(self._timing.connect), administration(self._options) as admin:
            cluster = (await admin.describe_cluster())["cluster_id"] or ""
            yield admin, ConsumerGroup(cluster, self._settings.group)


def _matches(patterns: Collection[str], partition: TopicPartition) -> bool:
    return bool(patterns) and Topics(tuple(patterns)).expression.match(partition.topic) is not None


def _log_topics(found: Sequence[Beginning], group: str) -> None:
    for topic, several in groupby(found, key=lambda one: one.partition.topic):
        partitions = list(several)
        offsets = {one.partition.partition: one.offset for one in partitions}
        reasons = sorted({one.reason for one in partitions})
        log.info("kafka_topic_start", topic=topic, group=group, offsets=offsets, rule=", ".join(reasons))
