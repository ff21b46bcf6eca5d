"""The port for start offsets: where a Kafka consumer group starts to read partitions without a committed offset."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

# Topic and partition.
Partition: TypeAlias = tuple[str, int]


class ConsumerGroup(msgspec.Struct, frozen=True):
    """A Kafka consumer group, identified by the id of its cluster and its name. Offsets of one cluster mean nothing in
    another."""

    cluster: str
    name: str


class StartOffset(msgspec.Struct, frozen=True):
    """The offset at which a consumer group starts to read a partition. `decided_at` is the time at which it was
    determined (UTC, by the clock of the node that did so)."""

    offset: int
    decided_at: datetime


class StartOffsets(Protocol):
    """Stores for each consumer group where it starts to read, so that all nodes start at the same offsets.

    There are two kinds of values: the time at which each topic or topic pattern of the routes was first configured, and
    for each partition the offset to start at if the group has committed none. A stored value never changes: if several
    nodes write it, the first one wins. Values survive the end of the process, unless the whole store is in memory.
    Every method raises StoreUnavailable, having changed nothing.
    """

    async def patterns(self, group: ConsumerGroup) -> dict[str, datetime]:
        """Returns all topics and topic patterns that were ever configured for the group, with the time at which each
        was first configured."""

    async def offsets(self, group: ConsumerGroup) -> dict[Partition, StartOffset]:
        """Returns the group's stored start offsets, keyed by partition. Partitions without one are left out."""

    async def add(
        self, group: ConsumerGroup, patterns: Collection[str], offsets: Mapping[Partition, int], now: datetime
    ) -> bool:
        """Stores topic patterns that are configured for the first time, and start offsets, in one transaction, with
        `now` as their time. A start offset that is stored already does not change.

        Returns False, having stored nothing, if any of the patterns is stored already, because another node was faster:
        the caller must read the stored patterns again, and determine the offsets for those that are still new.
        """
