"""Detects consumers that have stalled: aiokafka raises no error, but they receive no more records."""

import asyncio
import time
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from adapters.kafka.timing import Timing


class Stalled(Exception):
    """Raised if a consumer has stalled: it makes no progress, although aiokafka has raised no error."""


class Watch:
    """Detects a stalled consumer. Every `Timing.probe` seconds, queries the broker and compares the end offset of each
    assigned partition with the consumer's position.

    The consumer has stalled if the broker has not answered for `Timing.silence` seconds, if joining the group or a
    rebalance takes longer than `Timing.unassigned` seconds, or if a position has not changed for `Timing.stall` seconds
    although the log has more records. `answering` tells whether the last query was answered; `lag` is the number of
    records that are still to be polled, or None if it is unknown.
    """

    # Known causes: a rejoin that never ends (aiokafka's issues #1154 and #847), a fetch that never returns, and a
    # broker that accepts connections and does not answer. Only their symptoms are checked, so no private state of
    # aiokafka is read.

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self.answering = False
        self.lag: int | None = None
        self._consumer = consumer
        self._timing = timing
        self._answered = time.monotonic()
        self._unassigned_since: float | None = self._answered
        # For each partition that lags: the consumer's position, and the monotonic time since which it has been the
        # same.
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}
        # The monotonic time of the last poll of all partitions that returned nothing.
        self._empty_poll = self._answered

    def empty_poll(self) -> None:
        """Records that a poll of all partitions has returned no records. A position that does not change counts as a
        stall only after such a poll: otherwise, partitions may be paused because ingest is slow."""
        self._empty_poll = time.monotonic()

    def unassigned(self) -> None:
        """Records that a rebalance has begun: the consumer has no assignment until the next call of `assigned`."""
        self._unassigned_since = self._unassigned_since or time.monotonic()
        self._waiting = {}
        self.lag = None

    def assigned(self) -> None:
        """Records that a rebalance has ended: the consumer has an assignment, which may be empty, and its positions are
        set. This counts as an answer of the broker."""
        self._unassigned_since = None
        self._note_answer()

    async def run(self) -> NoReturn:
        """Queries the broker until the consumer has stalled. Then raises Stalled."""
        while True:
            try:
                async with asyncio.timeout(self._timing.probe):
                    await self._ask()
            except (KafkaError, TimeoutError):
                self.answering = False
            else:
                self._note_answer()
            self._judge()
            await asyncio.sleep(self._timing.probe)

    def _note_answer(self) -> None:
        self.answering = True
        self._answered = time.monotonic()

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
        if now - self._answered > timing.silence:
            raise Stalled(f"Kafka has not answered for {timing.silence:g} s")
        if self._unassigned_since is not None and now - self._unassigned_since > timing.unassigned:
            raise Stalled(f"no partitions were assigned within {timing.unassigned:g} s")
        for partition, (position, since) in self._waiting.items():
            if self._empty_poll - since > timing.stall:
                stuck = f"{partition.topic}/{partition.partition} at {position}"
                raise Stalled(f"no record has arrived from {stuck} for {timing.stall:g} s, although the log has more")
