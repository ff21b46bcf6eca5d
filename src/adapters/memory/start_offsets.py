"""Stores start offsets in memory: where Kafka consumer groups begin to read. They are lost when the process ends."""

from collections.abc import Collection, Mapping
from datetime import datetime

from application.ports.start_offsets import ConsumerGroup, Partition, StartOffset


class MemoryStartOffsets:
    """Implements the port StartOffsets. No method awaits, so each call is one transaction."""

    def __init__(self) -> None:
        self._patterns: dict[ConsumerGroup, dict[str, datetime]] = {}
        self._offsets: dict[ConsumerGroup, dict[Partition, StartOffset]] = {}

    async def patterns(self, group: ConsumerGroup) -> dict[str, datetime]:
        return dict(self._patterns.get(group, {}))

    async def offsets(self, group: ConsumerGroup) -> dict[Partition, StartOffset]:
        return dict(self._offsets.get(group, {}))

    async def add(
        self, group: ConsumerGroup, patterns: Collection[str], offsets: Mapping[Partition, int], now: datetime
    ) -> bool:
        known = self._patterns.setdefault(group, {})
        if not known.keys().isdisjoint(patterns):
            return False
        known.update(dict.fromkeys(patterns, now))
        stored = self._offsets.setdefault(group, {})
        self._offsets[group] = {place: StartOffset(offset, now) for place, offset in offsets.items()} | stored
        return True
