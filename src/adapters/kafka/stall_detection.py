"""Detects consumers that have stalled without an error, which aiokafka does not report."""

import asyncio
import time
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from adapters.kafka.timing import Timing


class Stalled(Exception):
    """The consumer makes no progress, although it has raised no error."""


class Watch:
    """Detects stalls: every few seconds, probes the broker and compares the end offsets with the consumer's positions.

    aiokafka can stall without an error: a rejoin that never ends (its issues #1154 and #847), a fetch that never
    returns, a broker that accepts connections and does not answer. All have the same symptom: the broker has more
    records, or does not answer, and the consumer does not advance. Only this symptom is checked, so no private state of
    aiokafka is read.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self.answering = False
        self.lag: int | None = None
        self._consumer = consumer
        self._timing = timing
        self._heard = time.monotonic()
        self._unassigned_since: float | None = self._heard
        # For each partition that lags: the consumer's position, and the monotonic time since which it has been the
        # same.
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}
        # The monotonic time of the last poll of all partitions that returned nothing.
        self._starved = self._heard

    def starved(self) -> None:
        """Notes that a poll of all partitions returned nothing. If the broker nevertheless has records, it is the
        consumer that does not fetch them. Before such a poll, records may only be waiting for ingest."""
        self._starved = time.monotonic()

    def unassigned(self) -> None:
        """Notes that the member waits for an assignment."""
        self._unassigned_since = self._unassigned_since or time.monotonic()
        self._waiting = {}
        self.lag = None

    def assigned(self) -> None:
        """Notes that the member has an assignment, which may be empty, and its positions. This counts as an answer of
        the broker."""
        self._unassigned_since = None
        self._hear()

    async def run(self) -> NoReturn:
        """Probes until the consumer has stalled. Then raises Stalled."""
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
            # Only metadata is requested: during a rebalance the coordinator does not answer requests for offsets, and
            # without partitions there are none to read.
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
        # Paused partitions do not advance.
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
                raise Stalled(f"no record has arrived from {stuck} for {timing.stall:g} s, although the log has more")
