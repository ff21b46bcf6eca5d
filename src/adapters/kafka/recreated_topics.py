"""Detects topics that are deleted and created again while they are read. Compares the first records of their logs,
because aiokafka does not expose the topic ids by which Kafka distinguishes them."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from adapters.kafka.commits import partition_names
from adapters.kafka.offset_queries import FirstRecord, first_records
from adapters.kafka.timing import Timing


class Recreated(Exception):
    """Raised if topics were deleted and created again while they were read. `first_offsets` has the first offset of
    each new log, by partition."""

    def __init__(self, first_offsets: Mapping[TopicPartition, int]) -> None:
        super().__init__(f"topics were deleted and created again: {', '.join(partition_names(first_offsets))}")
        self.first_offsets = first_offsets

    @property
    def offsets(self) -> dict[str, int]:
        """The first offset of each new log, by the name of the partition, as a field of a log event. Example:
        `{"orders/0": 0}`."""
        first = self.first_offsets
        return dict(zip(partition_names(first), (first[one] for one in sorted(first)), strict=True))


class Recreation:
    """Detects topics that are deleted and created again while a consumer reads them. Every `Timing.comparison` seconds,
    compares the first record of each assigned partition with the first record found before.

    Without this, a consumer whose topic is recreated between two fetches would continue at its old position and skip
    the earlier records of the new log. A recreation is not detected if the old log had no records at the last
    comparison.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        self._known: dict[TopicPartition, FirstRecord] = {}
        self._assigned = asyncio.Event()

    def assigned(self, uncommitted: Collection[TopicPartition]) -> None:
        """Starts a comparison immediately after a rebalance. `uncommitted` are the assigned partitions without a
        committed offset. For these, the first records found before are discarded: their start offsets were just
        determined from the current logs, so an earlier recreation does no harm."""
        for partition in uncommitted:
            self._known.pop(partition, None)
        self._assigned.set()

    async def run(self) -> NoReturn:
        """Compares first records until a topic was deleted and created again. Then raises Recreated. Ignores errors of
        Kafka."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.comparison):
                    await self._assigned.wait()
            self._assigned.clear()
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(self._timing.probe):
                    await self._compare()

    async def _compare(self) -> None:
        partitions = self._consumer.assignment()
        found = await first_records(self._consumer, partitions)
        if self._consumer.assignment() != partitions or self._assigned.is_set():
            return
        known = self._known
        self._known = {one: record for one, record in (known | found).items() if one in partitions}
        others = [one for one, record in found.items() if one in known and record.is_of_another_log_than(known[one])]
        if others:
            raise Recreated({one: found[one].offset for one in others})
