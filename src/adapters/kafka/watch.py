"""Whether a consumer is alive: aiokafka does not say when it has stalled."""

import asyncio
import time
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from adapters.kafka.timing import Timing


class Stalled(Exception):
    """The consumer does not get on, and has not said so."""


class Watch:
    """Asks the broker every few seconds what the source needs it for, and compares with what the consumer has done.

    aiokafka can lose its place without an error: a rejoin that never ends (its issues #1154 and #847), a fetch that
    never returns, a broker that takes connections and says nothing. From outside they look alike: there is more at the
    broker, or no answer, and the consumer stands still. Only that is asked, so no private state is read.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self.answering = False
        self.lag: int | None = None
        self._consumer = consumer
        self._timing = timing
        self._heard = time.monotonic()
        self._unassigned_since: float | None = self._heard
        # By partition that is behind: where it stands, and since when.
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}
        self._starved = self._heard

    def starved(self) -> None:
        """A poll of everything brought nothing: what waits at the broker does not wait behind something else here."""
        self._starved = time.monotonic()

    def unassigned(self) -> None:
        """The member waits for its partitions."""
        self._unassigned_since = self._unassigned_since or time.monotonic()
        self._waiting = {}
        self.lag = None

    def assigned(self) -> None:
        """The member has its partitions, perhaps none, and their positions: the broker has just answered."""
        self._unassigned_since = None
        self._hear()

    async def run(self) -> NoReturn:
        """Raises Stalled."""
        while True:
            try:
                async with asyncio.timeout(self._timing.probe):
                    await self._ask()
            except (KafkaError, TimeoutError):
                self.answering = False
            else:
                self._hear()
            self._judge()
            await asyncio.sleep(self._timing.probe)

    def _hear(self) -> None:
        self.answering = True
        self._heard = time.monotonic()

    async def _ask(self) -> None:
        partitions = self._consumer.assignment()
        if self._unassigned_since is not None or not partitions:
            # During a rebalance the coordinator answers nothing else; without partitions there is nothing to ask it.
            await self._consumer.topics()
            self.lag = None if self._unassigned_since else 0
            return
        ends = await self._consumer.end_offsets(partitions)
        await self._consumer.committed(next(iter(partitions)))
        if self._consumer.assignment() == partitions:
            positions = {partition: await self._consumer.position(partition) for partition in partitions}
            self._compare(positions, ends)

    def _compare(self, positions: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> None:
        now = time.monotonic()
        self.lag = sum(max(0, ends[partition] - at) for partition, at in positions.items())
        # Paused ones stand still because they are told to.
        behind = {} if self._consumer.paused() else {p: at for p, at in positions.items() if at < ends[p]}
        before = self._waiting
        self._waiting = {p: before[p] if p in before and before[p][0] == at else (at, now) for p, at in behind.items()}

    def _judge(self) -> None:
        now = time.monotonic()
        timing = self._timing
        if now - self._heard > timing.silence:
            raise Stalled(f"Kafka has not answered for {timing.silence:g} s")
        if self._unassigned_since is not None and now - self._unassigned_since > timing.unassigned:
            raise Stalled(f"no partitions were assigned within {timing.unassigned:g} s")
        for partition, (position, since) in self._waiting.items():
            if self._starved - since > timing.stall:
                stuck = f"{partition.topic}/{partition.partition} at {position}"
                raise Stalled(f"nothing has come from {stuck} for {timing.stall:g} s, though there is more")
