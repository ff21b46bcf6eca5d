"""The port for start offsets: where a consumer group begins to read."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

# Topic and partition.
Partition: TypeAlias = tuple[str, int]


class ConsumerGroup(msgspec.Struct, frozen=True):
    """A consumer group. `cluster` is part of its identity, because the offsets of one cluster are meaningless in
    another one."""

    cluster: str
    name: str


class StartOffset(msgspec.Struct, frozen=True):
    """An offset to begin at, and the time at which it was determined (UTC, by the clock of the node that determined
    it)."""

    offset: int
    decided_at: datetime


class StartOffsets(Protocol):
    """Stores, for each consumer group, the time at which each pattern of the routes was first configured, and the
    offset to begin at on partitions without a committed offset.

    Write once: neither the time of a pattern nor an offset ever changes; the value of the first node that writes it
    applies. Durable: what `add` wrote survives the process, unless the whole store is kept in memory. Every method
    raises StoreUnavailable, having changed nothing.
    """

    async def patterns(self, group: ConsumerGroup) -> dict[str, datetime]:
        """Returns every pattern that was ever configured for the group, with the time when it was first configured."""

    async def offsets(self, group: ConsumerGroup) -> dict[Partition, StartOffset]:
        """Returns the offsets to begin at, by partition. Partitions without one are absent."""

    async def add(
        self, group: ConsumerGroup, patterns: Collection[str], offsets: Mapping[Partition, int], now: datetime
    ) -> bool:
        """Adds patterns that are configured for the first time, together with offsets, in one transaction.

        If another node has added one of the patterns in the meantime, nothing is written and the result is False: the
        offsets were determined too late, and must be determined again without that pattern. An offset that is stored
        already is not changed. `now` is the time of both.
        """
