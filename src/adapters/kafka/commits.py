"""Commits the offsets of stored events to Kafka."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from adapters.kafka.timing import Timing
from application.ports.event_source import NotAcknowledged

log = structlog.get_logger(__name__)

# Seconds between two attempts at a commit, each of which includes aiokafka's own retries.
RETRY_S: Final = 0.5

# Errors of a commit whose partitions were revoked, or are about to be: a retry can't succeed. Events that were not
# committed are redelivered, to this node or to another.
GONE: Final = (CommitFailedError, IllegalStateError)


class Commits:
    """Commits the offsets of stored events to Kafka, in the background.

    One commit runs at a time. Offsets of events that are acknowledged meanwhile are collected for the next commit,
    which contains only the newest offset of each partition. So ingest does not wait for commits, which take at least 5
    ms with Kafka 4 (it batches them: group.coordinator.append.linger.ms). A crash within these milliseconds leads to
    redelivery, like a crash before the acknowledgement. Before a node leaves the group or gives up partitions, `flush`
    waits for commits.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        # The committed position at which reading began, for each assigned partition.
        self._begun: Mapping[TopicPartition, int] = {}
        # The offsets for the next commit.
        self._stored: dict[TopicPartition, int] = {}
        # For each partition, since its assignment: the offset after the last batch handed to ingest, the offset after
        # the last batch stored, and the newest offset scheduled for a commit.
        self._handed: dict[TopicPartition, int] = {}
        self._acknowledged: dict[TopicPartition, int] = {}
        self._noted: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._attempt: asyncio.Future[None] | None = None
        self._refusal = ""

    def begin(self, positions: Mapping[TopicPartition, int]) -> None:
        """Starts with newly assigned partitions. `positions` are their committed offsets, at which reading begins."""
        self._begun = positions
        self._handed = {}
        self._acknowledged = {}
        self._noted = dict(positions)
        self._refusal = ""

    def release(self) -> None:
        """Removes all partitions, and cancels the commit in progress: its retries could overwrite newer commits of the
        members that get these partitions next."""
        self._begun = {}
        self._stored = {}
        self._handed = {}
        if self._attempt:
            self._attempt.cancel()

    def held(self) -> list[TopicPartition]:
        """Returns the assigned partitions, sorted."""
        return sorted(self._begun)

    def hand_over(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Notes the end offsets of a batch that was handed to ingest. Until the batch is acknowledged, its partitions
        are not idle."""
        self._handed |= offsets

    def idle(self, partition: TopicPartition, position: int) -> None:
        """Schedules the consumer's current position for the next commit, if all records before it are stored. Called
        when a poll has returned no records.

        The position is beyond the last record if only transaction markers, aborted or compacted records follow. It is
        ignored while a batch with records of this partition is not acknowledged.
        """
        if partition in self._begun and self._acknowledged.get(partition, -1) >= self._handed.get(partition, -1):
            self._note({partition: position})

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Schedules the offset after the last stored event of each partition for the next commit.

        Raises NotAcknowledged if a partition is no longer assigned, or if Kafka has refused the last commit. The
        offsets of assigned partitions are scheduled in both cases.
        """
        for partition, offset in offsets.items():
            self._acknowledged[partition] = max(offset, self._acknowledged.get(partition, offset))
        self._note(self._ahead(offsets))
        if lost := offsets.keys() - self._begun.keys():
            raise NotAcknowledged(f"these partitions are no longer assigned to this node: {', '.join(names(lost))}")
        if self._refusal:
            raise NotAcknowledged(f"Kafka has refused the last commit: {self._refusal}")

    def _note(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Schedules offsets for the next commit. An offset never decreases."""
        ahead = {partition: offset for partition, offset in offsets.items() if offset > self._noted.get(partition, -1)}
        if ahead:
            self._noted |= ahead
            self._stored |= ahead
            self._done.clear()
            self._wanted.set()

    async def flush(self, within: float) -> bool:
        """Waits at most `within` seconds until no commit is pending. Returns False on a timeout. A commit whose
        partitions were revoked is given up, and counts as done."""
        try:
            async with asyncio.timeout(within):
                return await self._done.wait()
        except TimeoutError:
            return False

    async def run(self) -> NoReturn:
        """Commits scheduled offsets until it is cancelled. Retries a failed commit unless its partitions were
        revoked."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            offsets, self._stored = self._stored, {}
            try:
                await self._commit(offsets)
            except (KafkaError, TimeoutError) as refused:
                self._refusal = type(refused).__name__
                log.warning("kafka_commit_failed", partitions=names(offsets), error=self._refusal)
                if not isinstance(refused, GONE):
                    await asyncio.sleep(RETRY_S)
                    self._stored = self._ahead(offsets) | self._stored
                    self._wanted.set()
                    continue
            else:
                self._refusal = ""
            if not self._stored:
                self._done.set()

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            return
        self._attempt = asyncio.ensure_future(self._consumer.commit(offsets))
        try:
            async with asyncio.timeout(self._timing.commit):
                await asyncio.wait({self._attempt})
            if not self._attempt.cancelled():
                self._attempt.result()
        finally:
            self._attempt.cancel()

    def _ahead(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Returns the offsets that may be committed: those of assigned partitions, beyond the position at which reading
        began. Smaller offsets were committed before the partition was assigned."""
        return {held: offset for held, offset in offsets.items() if offset > self._begun.get(held, offset)}


def names(partitions: Collection[TopicPartition]) -> list[str]:
    """Returns the partitions as `topic/partition`, sorted, for status and logs."""
    return [f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)]
