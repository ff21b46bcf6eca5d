"""The port for retention: deleting old rows."""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec


class Keep(msgspec.Struct, frozen=True):
    """Limits by age and by count. They apply to the notifications of one inbox, the broadcasts of one feed, all dead
    letters or all deliveries."""

    age: timedelta
    count: int


class Keeping(msgspec.Struct, frozen=True):
    """The limits of each kind of row."""

    inbox: Keep
    feed: Keep
    dead_letters: Keep
    deliveries: Keep


class Pruned(msgspec.Struct, frozen=True):
    """The number of rows of each kind that one step has deleted."""

    notifications: int = 0
    broadcasts: int = 0
    dead_letters: int = 0
    deliveries: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.notifications or self.broadcasts or self.dead_letters or self.deliveries)


class Retention(Protocol):
    """Deletes old rows in small steps.

    A stream is pruned from its oldest arrival on. In one transaction, the rows are deleted, the `pruned` of its head
    rises to the newest deleted position, and its unread total falls by the number of unread notifications deleted.
    Sessions at an earlier position get a gap. Pending deliveries are never deleted, and do not count towards the limit.
    """

    async def prune(self, keeping: Keeping, now: datetime, limit: int = 500) -> Pruned:
        """Deletes at most `limit` rows of each kind that exceed their limits, in short transactions. If the result has
        no deletions, no row exceeds its limits now. Raises StoreUnavailable."""
