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
    """Commits the offsets of stored events to Kafka, in the background, so that ingest does not wait for commits.

    One commit runs at a time. Offsets that are acknowledged meanwhile are scheduled: they are collected for the next
    commit, which contains only the newest offset of each partition. If the node crashes before a commit, Kafka delivers
    the events again, and they are recognised as duplicates. Membership calls `flush` to wait for commits before a
    rebalance and before it leaves the group.
    """

    # A commit takes at least 5 ms with Kafka 4, which batches commits (group.coordinator.append.linger.ms).

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        # For each assigned partition: the offset at which reading started, which is committed.
        self._started_at: Mapping[TopicPartition, int] = {}
        # The offsets for the next commit.
        self._next: dict[TopicPartition, int] = {}
        # For each partition, since its assignment: the offset after the last batch handed to ingest, the offset after
        # the last batch stored, and the newest offset scheduled for a commit.
        self._handed: dict[TopicPartition, int] = {}
        self._acknowledged: dict[TopicPartition, int] = {}
        self._scheduled: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._attempt: asyncio.Future[None] | None = None
        self._refusal = ""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Sets the assigned partitions after a rebalance. `positions` contains the offset at which reading starts on
        each partition; these offsets are committed already."""
        self._started_at = positions
        self._handed = {}
        self._acknowledged = {}
        self._scheduled = dict(positions)
        self._refusal = ""

    def release(self) -> None:
        """Removes all partitions before a rebalance, and cancels the commit in progress: aiokafka could retry it after
        another node has committed a newer offset of the partition, and overwrite that offset."""
        self._started_at = {}
        self._next = {}
        self._handed = {}
        if self._attempt:
            self._attempt.cancel()

    def held(self) -> list[TopicPartition]:
        """Returns the partitions that are assigned to this node, sorted."""
        return sorted(self._started_at)

    def hand_over(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Records that a batch is handed to ingest. `offsets` has the offset after the last record of the batch in each
        partition. Until the batch is acknowledged, `schedule_position` has no effect on these partitions."""
        self._handed |= offsets

    def schedule_position(self, partition: TopicPartition, position: int) -> None:
        """Schedules a commit of `position`, the consumer's position in a partition, after a poll that returned no
        records. Does nothing while a batch with records of the partition is not acknowledged.

        The position can be greater than the acknowledged offset, because transaction markers, records of aborted
        transactions and compacted records advance the position, but are in no batch.
        """
        if partition in self._started_at and self._acknowledged.get(partition, -1) >= self._handed.get(partition, -1):
            self._schedule({partition: position})

    def acknowledge(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Schedules a commit of `offsets`, the receipt of an acknowledged batch: the offset after its last record in
        each partition.

        Raises NotAcknowledged if a partition is no longer assigned to this node, or if the last commit has failed. In
        both cases, the offsets of the partitions that are still assigned are scheduled.
        """
        for partition, offset in offsets.items():
            self._acknowledged[partition] = max(offset, self._acknowledged.get(partition, offset))
        self._schedule(self._committable(offsets))
        if lost := offsets.keys() - self._started_at.keys():
            names = ", ".join(partition_names(lost))
            raise NotAcknowledged(f"these partitions are no longer assigned to this node: {names}")
        if self._refusal:
            raise NotAcknowledged(f"Kafka has refused the last commit: {self._refusal}")

    def _schedule(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Schedules offsets for the next commit. Ignores an offset that is not greater than the last one scheduled for
        its partition."""
        newer = {held: offset for held, offset in offsets.items() if offset > self._scheduled.get(held, -1)}
        if newer:
            self._scheduled |= newer
            self._next |= newer
            self._done.clear()
            self._wanted.set()

    async def flush(self, within: float) -> bool:
        """Waits at most `within` seconds until no commit is scheduled or running. Returns False on a timeout. Does not
        wait for commits of revoked partitions, because these are given up."""
        try:
            async with asyncio.timeout(within):
                return await self._done.wait()
        except TimeoutError:
            return False

    async def run(self) -> NoReturn:
        """Commits scheduled offsets until this task is cancelled. Retries a failed commit after 0.5 s; gives it up if
        its partitions were revoked."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            offsets, self._next = self._next, {}
            try:
                await self._commit(offsets)
            except (KafkaError, TimeoutError) as refused:
                self._refusal = type(refused).__name__
                log.warning("kafka_commit_failed", partitions=partition_names(offsets), error=self._refusal)
                if not isinstance(refused, GONE):
                    await asyncio.sleep(RETRY_S)
                    self._next = self._committable(offsets) | self._next
                    self._wanted.set()
                    continue
            else:
                self._refusal = ""
            if not self._next:
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

    def _committable(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Returns the offsets that can be committed: those of partitions assigned to this node that are greater than
        the offset at which reading of the partition started. Smaller offsets are committed already."""
        return {held: offset for held, offset in offsets.items() if offset > self._started_at.get(held, offset)}


def partition_names(partitions: Collection[TopicPartition]) -> list[str]:
    """Returns partitions as texts for status and logs, sorted by topic and number. Example: `orders/0`."""
    return [f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)]
