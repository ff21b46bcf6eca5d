"""Telling Kafka how far a node has stored."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from adapters.kafka.timing import Timing
from application.ports.event_source import NotAcknowledged

log = structlog.get_logger(__name__)

# Between attempts at a commit, in seconds; aiokafka has then repeated what could be repeated.
RETRY: Final = 0.5

# The partitions went, or are about to: no attempt will succeed, and what it was for comes again, here or elsewhere.
GONE: Final = (CommitFailedError, IllegalStateError)


class Commits:
    """What is stored of the partitions held, and its way to Kafka.

    One commit at a time; what is acknowledged meanwhile gathers for the next, and of each partition the newest offset
    stands for all before it. So nobody waits for a commit, to which Kafka 4 gives at least 5 ms (it writes several
    together: group.coordinator.append.linger.ms). A crash within these milliseconds hands the same events over
    again, as a crash before the acknowledgement would. A node that leaves, or lets go of partitions, waits for `flush`.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        # Where reading began on each partition held.
        self._begun: Mapping[TopicPartition, int] = {}
        self._stored: dict[TopicPartition, int] = {}
        # Since then: where the last batch handed over ends, where the last one stored ends, and what was noted last.
        self._handed: dict[TopicPartition, int] = {}
        self._acknowledged: dict[TopicPartition, int] = {}
        self._noted: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._attempt: asyncio.Future[None] | None = None
        self._refusal = ""

    def begin(self, positions: Mapping[TopicPartition, int]) -> None:
        """These partitions are held from now on, and committed up to these positions."""
        self._begun = positions
        self._handed = {}
        self._acknowledged = {}
        self._noted = dict(positions)
        self._refusal = ""

    def release(self) -> None:
        """No partition is held any more. Not even an attempt under way may be repeated: others may have moved on."""
        self._begun = {}
        self._stored = {}
        self._handed = {}
        if self._attempt:
            self._attempt.cancel()

    def held(self) -> list[TopicPartition]:
        return sorted(self._begun)

    def hand_over(self, offsets: Mapping[TopicPartition, int]) -> None:
        """A batch that ends at these offsets is handed over. Until it is acknowledged, its partitions are not idle."""
        self._handed |= offsets

    def idle(self, partition: TopicPartition, position: int) -> None:
        """Notes the consumer's position as of this moment, to be committed, if everything before it is stored.

        The position moves beyond the last record where only transaction markers, aborted records or compacted ones
        follow. It counts unless a batch with records of this partition was handed over and is not acknowledged yet.
        """
        if partition in self._begun and self._acknowledged.get(partition, -1) >= self._handed.get(partition, -1):
            self._note({partition: position})

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Notes the offset after the last stored event of each partition, to be committed at once.

        Raises NotAcknowledged for partitions no longer held, and while Kafka refuses; the rest is noted nevertheless.
        """
        for partition, offset in offsets.items():
            self._acknowledged[partition] = max(offset, self._acknowledged.get(partition, offset))
        self._note(self._ahead(offsets))
        if lost := offsets.keys() - self._begun.keys():
            raise NotAcknowledged(f"these partitions are no longer held: {', '.join(names(lost))}")
        if self._refusal:
            raise NotAcknowledged(f"Kafka takes no commits: {self._refusal}")

    def _note(self, offsets: Mapping[TopicPartition, int]) -> None:
        """To be committed as soon as possible. An offset never goes back."""
        ahead = {partition: offset for partition, offset in offsets.items() if offset > self._noted.get(partition, -1)}
        if ahead:
            self._noted |= ahead
            self._stored |= ahead
            self._done.clear()
            self._wanted.set()

    async def flush(self, within: float) -> bool:
        """Whether Kafka has everything that is stored, before so many seconds are over."""
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
                    await asyncio.sleep(RETRY)
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
        """What does not lie ahead of where reading began was committed before the partition came (back) here."""
        return {held: offset for held, offset in offsets.items() if offset > self._begun.get(held, offset)}


def names(partitions: Collection[TopicPartition]) -> list[str]:
    """As status and logs show partitions."""
    return [f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)]
