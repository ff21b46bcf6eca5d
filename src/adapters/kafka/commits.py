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

# The partitions were revoked, or are about to be: a retry can't succeed. Events that were not committed are
# redelivered, to this node or to another.
GONE: Final = (CommitFailedError, IllegalStateError)


class Commits:
    """Keeps the stored offsets of the assigned partitions, and commits them to Kafka in the background.

    One commit runs at a time. Offsets that are acknowledged meanwhile are collected for the next one, which commits
    only the newest of each partition. So ingest does not wait for commits, which take at least 5 ms with Kafka 4 (it
    batches them: group.coordinator.append.linger.ms). A crash within these milliseconds leads to redelivery, like a
    crash before the acknowledgement. Before a node leaves the group or gives up partitions, `flush` waits for commits.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        # The position at which reading began, for each assigned partition.
        self._begun: Mapping[TopicPartition, int] = {}
        self._stored: dict[TopicPartition, int] = {}
        # Since then, by partition: the end of the last batch given to ingest, the end of the last batch stored, and the
        # last offset noted for a commit.
        self._handed: dict[TopicPartition, int] = {}
        self._acknowledged: dict[TopicPartition, int] = {}
        self._noted: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._attempt: asyncio.Future[None] | None = None
        self._refusal = ""

    def begin(self, positions: Mapping[TopicPartition, int]) -> None:
        """Starts with newly assigned partitions, which are committed up to these positions."""
        self._begun = positions
        self._handed = {}
        self._acknowledged = {}
        self._noted = dict(positions)
        self._refusal = ""

    def release(self) -> None:
        """Forgets all partitions, and cancels a commit in progress: a retry could undo newer commits of other
        members."""
        self._begun = {}
        self._stored = {}
        self._handed = {}
        if self._attempt:
            self._attempt.cancel()

    def held(self) -> list[TopicPartition]:
        return sorted(self._begun)

    def hand_over(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Notes that a batch that ends at these offsets was given to ingest. Until it is acknowledged, its partitions
        are not idle."""
        self._handed |= offsets

    def idle(self, partition: TopicPartition, position: int) -> None:
        """Notes the consumer's current position for the next commit, if everything before it is stored.

        The position is beyond the last record if only transaction markers, aborted or compacted records follow. It is
        ignored while a batch with records of this partition is not acknowledged.
        """
        if partition in self._begun and self._acknowledged.get(partition, -1) >= self._handed.get(partition, -1):
            self._note({partition: position})

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Notes the offset after the last stored event of each partition for the next commit.

        Raises NotAcknowledged for partitions that are no longer assigned, and while Kafka refuses commits; offsets of
        assigned partitions are noted nevertheless.
        """
        for partition, offset in offsets.items():
            self._acknowledged[partition] = max(offset, self._acknowledged.get(partition, offset))
        self._note(self._ahead(offsets))
        if lost := offsets.keys() - self._begun.keys():
            raise NotAcknowledged(f"these partitions are no longer assigned to this node: {', '.join(names(lost))}")
        if self._refusal:
            raise NotAcknowledged(f"Kafka takes no commits: {self._refusal}")

    def _note(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Schedules offsets for the next commit. An offset never decreases."""
        ahead = {partition: offset for partition, offset in offsets.items() if offset > self._noted.get(partition, -1)}
        if ahead:
            self._noted |= ahead
            self._stored |= ahead
            self._done.clear()
            self._wanted.set()

    async def flush(self, within: float) -> bool:
        """Waits for at most `within` seconds. Returns whether the offsets of all stored events are committed."""
        try:
            async with asyncio.timeout(within):
                return await self._done.wait()
        except TimeoutError:
            return False

    async def run(self) -> NoReturn:
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
        """Returns the offsets of assigned partitions that are beyond the position at which reading began. The others
        were committed before the partition was assigned."""
        return {held: offset for held, offset in offsets.items() if offset > self._begun.get(held, offset)}


def names(partitions: Collection[TopicPartition]) -> list[str]:
    """Returns the partitions in the format of status and logs, sorted."""
    return [f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)]
