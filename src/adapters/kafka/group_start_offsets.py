"""Determines the offset at which a consumer group starts to read a partition that has no committed offset: its start
offset. Start offsets are in the store, so that all nodes of the group use the same ones."""

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
from adapters.kafka.offset_queries import (
    FirstRecord,
    LogRange,
    committed,
    existing_partitions,
    log_ranges,
    log_ranges_without_group,
)
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.timing import Timing
from adapters.kafka.topic_patterns import Topics
from application.ports.start_offsets import ConsumerGroup, StartOffset, StartOffsets
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

# Timeout in seconds for reading stored start offsets that only the status shows: a rebalance waits for this read.
DISPLAY_TIMEOUT_S: Final = 1.0

# `survey` runs without a supervisor, so it retries by itself.
SURVEY_RETRIES: Final = 10
SURVEY_RETRY_S: Final = 0.5

# Why the group starts reading at an offset. `committed`: it is the group's committed offset. `remembered`: it is the
# start offset in the store. `end`: it is the end of the log, since the group never read this topic. `beginning`: it is
# the first offset, since the topic or partition appeared after its pattern was configured, HERALD_KAFKA_START is
# earliest, or retention has deleted the record at the start offset. `recreated`: it is the first offset, since the
# topic was deleted and created again after its start offset was stored.
Reason = Literal["committed", "remembered", "end", "beginning", "recreated"]


class StartPosition(msgspec.Struct, frozen=True):
    """The offset at which the group starts to read a partition, and the reason for this offset. `end` is the end of the
    partition's log: the offset after the last record that a consumer can read now."""

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
) -> list[StartPosition]:
    """Returns the offset at which the group starts to read each partition in `ranges`, sorted by partition. The first
    of these rules that applies determines the offset:

    1. If `commits` has a committed offset, reading starts there.
    2. If `remembered` has a start offset (from the store), reading starts there. If the topic was deleted and created
       again after the start offset was stored, reading starts at the first offset of the log instead.
    3. If `start` is "latest" and the topic is in `unknown` (the topics that match no stored pattern of the group),
       reading starts at the end of the log.
    4. Otherwise, reading starts at the first offset of the log.

    Rule 2 does not apply if retention has deleted the record at the start offset. Rule 3 does not apply if the group
    has committed an offset of another partition of the topic: a version of Herald that stored no start offsets has read
    it.
    """
    read = {partition.topic for partition in commits}
    found = []
    for partition, held in sorted(ranges.items()):
        offset, reason = _offset(partition, held, commits, remembered)
        if reason == "beginning" and start == "latest" and partition.topic in unknown and partition.topic not in read:
            offset, reason = held.end, "end"
        found.append(StartPosition(partition, offset, held.end, reason))
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
    if start.offset > held.end or _was_created_after(held.record, start):
        return held.first, "recreated"
    return start.offset, "remembered"


def _was_created_after(record: FirstRecord | None, start: StartOffset) -> bool:
    """Returns whether the log was created after the start offset was stored, because its topic was deleted and created
    again: the first record of the log has a smaller offset than the start offset, and a timestamp at or after
    `start.decided_at`."""
    return (
        record is not None and record.offset < start.offset and record.timestamp / 1000 >= start.decided_at.timestamp()
    )


class GroupStartOffsets:
    """Determines the start offsets of the consumer group, and stores them for all nodes. Membership uses them, and a
    command shows them.

    Before a node joins the group, `configure` finds the patterns of the routes that are new for the group. It
    determines a start offset for each existing partition that a new pattern matches, and stores the patterns and the
    offsets in one transaction. A partition that has no start offset when it is assigned was created later:
    `on_assigned` stores its first offset.

    If several nodes do this at the same time, the start offsets that are stored first apply to all. A committed offset
    takes precedence over a start offset.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        options: dict[str, Any],
        patterns: Sequence[str],
        starts: StartOffsets,
        timing: Timing,
    ) -> None:
        # The stored start offsets, as of the last read.
        self.remembered: dict[TopicPartition, StartOffset] = {}
        self._settings = settings
        self._options = options
        self._patterns = patterns
        self._starts = starts
        self._timing = timing
        self._group: ConsumerGroup | None = None
        # The patterns for which `configure` has succeeded.
        self._configured: Sequence[str] | None = None

    def change_patterns(self, patterns: Sequence[str]) -> None:
        """Replaces the patterns of the routes. `configure` must be called before topics of new patterns are read."""
        self._patterns = patterns

    async def configure(self) -> None:
        """Stores the patterns of the routes that are new for the group, with the start offsets of the topics that only
        these patterns match. Must be called before the node joins the group, and again after `change_patterns`. Does
        nothing if it has succeeded for the same patterns. Raises KafkaError, TimeoutError and StoreUnavailable."""
        patterns = self._patterns
        if patterns is self._configured:
            return
        async with self._administration() as (admin, group):
            known = await self._starts.patterns(group)
            while new := [pattern for pattern in patterns if pattern not in known]:
                found = [one for one in await self._survey(admin, new, known, {}) if not _matches(known, one.partition)]
                offsets = {(one.partition.topic, one.partition.partition): one.offset for one in found}
                if await self._starts.add(group, new, offsets, datetime.now(UTC)):
                    _log_topics(found, group.name)
                    break
                known = await self._starts.patterns(group)
            await self._read(group)
            self._group = group
        self._configured = patterns

    async def on_assigned(
        self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition], commits: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Returns the start offset of each assigned partition that has no committed offset in `commits`, and stores the
        start offsets that are not stored yet. Raises KafkaError and StoreUnavailable."""
        if self._group is None:
            raise RuntimeError("configure() must be called first")
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

    async def survey(self) -> list[StartPosition]:
        """Returns the offset at which the group would start to read each existing partition of the routes' topics, for
        the command line. Stores nothing, and does not join the group. Raises KafkaError, TimeoutError and
        StoreUnavailable."""
        async with self._administration() as (admin, group):
            known = await self._starts.patterns(group)
            await self._read(group)
            for _ in range(SURVEY_RETRIES):
                # In a new cluster, no group has a coordinator until Kafka has created the topic __consumer_offsets.
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
    ) -> list[StartPosition]:
        partitions = await existing_partitions(admin, Topics(patterns))
        commits = await committed(admin, self._settings.group, partitions)
        ranges = await log_ranges_without_group(self._options, self._timing, partitions)
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


def _log_topics(found: Sequence[StartPosition], group: str) -> None:
    for topic, several in groupby(found, key=lambda one: one.partition.topic):
        partitions = list(several)
        offsets = {one.partition.partition: one.offset for one in partitions}
        reasons = sorted({one.reason for one in partitions})
        log.info("kafka_topic_start", topic=topic, group=group, offsets=offsets, rule=", ".join(reasons))
