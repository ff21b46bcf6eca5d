"""The port for retention: deleting old rows."""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec


class Keep(msgspec.Struct, frozen=True):
    """The retention limits of one kind of row: rows older than `age` are deleted, and, if there are more than `count`,
    the oldest ones. `count` applies to each inbox, to each feed, to all dead letters, or to all deliveries."""

    age: timedelta
    count: int


class Keeping(msgspec.Struct, frozen=True):
    """The retention limits of all kinds of rows."""

    inbox: Keep
    feed: Keep
    dead_letters: Keep
    deliveries: Keep


class Pruned(msgspec.Struct, frozen=True):
    """How many rows of each kind one call of Retention.prune has deleted."""

    notifications: int = 0
    broadcasts: int = 0
    dead_letters: int = 0
    deliveries: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.notifications or self.broadcasts or self.dead_letters or self.deliveries)


class Retention(Protocol):
    """Deletes rows that exceed their retention limits, in small steps.

    Inboxes and feeds lose their oldest entries first. The same transaction updates the stream's head: `pruned` becomes
    the position of the newest deleted entry, and deleted notifications are subtracted from the unread and unseen
    totals. A client that resumes from a position before `pruned` is notified of a gap. Pending deliveries are never
    deleted, and do not count towards the limit of deliveries.
    """

    async def prune(self, keeping: Keeping, now: datetime, limit: int = 500) -> Pruned:
        """Deletes at most `limit` rows of each kind that exceed the limits in `keeping` at the time `now`. To delete
        all of them, call again until nothing is deleted. Uses several short transactions. Raises StoreUnavailable."""
