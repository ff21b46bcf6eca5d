"""Detects topics that are deleted and created again while they are read. Compares their first records, since aiokafka
does not expose topic ids."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from adapters.kafka.commits import names
from adapters.kafka.offset_queries import FirstRecord, first_records
from adapters.kafka.timing import Timing


class Recreated(Exception):
    """Topics were deleted and created again since the assignment of their partitions. `beginnings` are the first
    offsets of the new logs."""

    def __init__(self, beginnings: Mapping[TopicPartition, int]) -> None:
        super().__init__(f"topics were deleted and created again: {', '.join(names(beginnings))}")
        self.beginnings = beginnings

    @property
    def offsets(self) -> dict[str, int]:
        """The first offsets of the new logs, by `topic/partition`, for the log."""
        return dict(zip(names(self.beginnings), (self.beginnings[one] for one in sorted(self.beginnings)), strict=True))


class Recreation:
    """Detects recreated topics: every `Timing.comparison` seconds, compares the first record of each assigned partition
    with the first record found before.

    Without it, if a topic is recreated between two fetches, the consumer would continue at its old position and skip
    the earlier records of the new log. If the old log had no records at the last comparison, the recreation is not
    detected.
    """

    def __init__(self, consumer: AIOKafkaConsumer, timing: Timing) -> None:
        self._consumer = consumer
        self._timing = timing
        self._known: dict[TopicPartition, FirstRecord] = {}
        self._assigned = asyncio.Event()

    def assigned(self, begun: Collection[TopicPartition]) -> None:
        """Triggers a comparison after an assignment. `begun` are the partitions without a committed offset. Their start
        offsets were just determined from the current logs, so their earlier first records are discarded."""
        for partition in begun:
            self._known.pop(partition, None)
        self._assigned.set()

    async def run(self) -> NoReturn:
        """Compares until a recreated topic is found. Then raises Recreated."""
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
