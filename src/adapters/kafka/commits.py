"""Telling Kafka how far a node has stored."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from adapters.kafka.timing import Timing
from application.ports.event_source import NotAcknowledged

log = structlog.get_logger(__name__)

# Between attempts that Kafka refuses, in seconds; what cures them is mostly a rebalance, which ends them.
RETRY: Final = 0.5


class Commits:
    """What is stored of the partitions held, and its way to Kafka.

    One commit at a time; what is acknowledged meanwhile gathers for the next, and of each partition the newest offset
    stands for all before it. So nobody waits for a commit, which takes a Kafka 4 no less than 5 ms (it writes
    several together: group.coordinator.append.linger.ms), half the time that a batch takes. A crash within these
    milliseconds hands the same events over again, as one before the acknowledgement would. Nothing else is lost:
    `flush` is waited for before partitions are let go and before a node leaves.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        # Where reading began on each partition held.
        self._begun: Mapping[TopicPartition, int] = {}
        self._stored: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._attempt: asyncio.Future[None] | None = None
        self._refusal = ""

    def begin(self, positions: Mapping[TopicPartition, int]) -> None:
        """These partitions are held from now on, and committed up to these positions."""
        self._begun = positions

    def release(self) -> None:
        """No partition is held any more. Not even an attempt under way may be repeated: others may have moved on."""
        self._begun = {}
        self._stored = {}
        if self._attempt:
            self._attempt.cancel()

    def held(self) -> list[TopicPartition]:
        return sorted(self._begun)

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Notes the offset after the last stored event of each partition, to be committed at once.

        Raises NotAcknowledged for partitions no longer held, and while Kafka refuses; the others are noted nevertheless.
        """
        # What does not lie ahead of where reading began was committed before the partition came back here.
        ahead = {held: offset for held, offset in offsets.items() if offset > self._begun.get(held, offset)}
        if ahead:
            self._stored |= ahead
            self._done.clear()
            self._wanted.set()
        if lost := offsets.keys() - self._begun.keys():
            raise NotAcknowledged(f"these partitions are no longer held: {', '.join(names(lost))}")
        if self._refusal:
            raise NotAcknowledged(f"Kafka takes no commits: {self._refusal}")

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
            if offsets and (refusal := await self._commit(offsets)):
                log.warning("Kafka did not take a commit", reason=refusal, partitions=names(offsets))
                self._refusal = refusal
                await asyncio.sleep(RETRY)
                self._stored = {held: at for held, at in offsets.items() if held in self._begun} | self._stored
                self._wanted.set()
            else:
                self._refusal = ""
                if not self._stored:
                    self._done.set()

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> str:
        """Why Kafka did not take them; nothing when it did. aiokafka repeats what may succeed, without an end."""
        self._attempt = asyncio.ensure_future(self._consumer.commit(offsets))
        try:
            async with asyncio.timeout(self._timing.commit):
                await asyncio.wait({self._attempt})
            self._attempt.result()
        except (KafkaError, TimeoutError) as refused:
            return str(refused) or type(refused).__name__
        except asyncio.CancelledError:
            if not self._attempt.cancelled():
                raise
            return "the partitions left"
        finally:
            self._attempt.cancel()
        return ""


def names(partitions: Collection[TopicPartition]) -> list[str]:
    """As status and logs show partitions."""
    return [f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)]
