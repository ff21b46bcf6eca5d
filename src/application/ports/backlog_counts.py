"""The port for the backlog: how much waits in the store to be sent, or for an administrator."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class PendingDeliveries(msgspec.Struct, frozen=True):
    """The pending deliveries of one channel: their number, and the age in seconds (since its creation) of the oldest
    one that should have been sent by now, 0 if there is none.

    A delivery should have been sent if it is due, is being sent, or waits to be tried again. One that is held until
    later only counts as pending.
    """

    count: int = 0
    oldest_age_s: float = 0.0


class Waiting(msgspec.Struct, frozen=True):
    """What waits in the store: the pending deliveries by channel, and the number of stored dead letters. A channel
    without pending deliveries may be missing."""

    deliveries: Mapping[str, PendingDeliveries]
    dead_letters: int


class Backlog(Protocol):
    """Counts what waits in the store, for all nodes together."""

    async def count(self, limit: int, examined: int) -> Waiting:
        """Returns what waits. So that the call stays cheap however much waits, each number is at most `limit`, and the
        delivery that should have been sent is looked for among about the `examined` oldest pending ones only. Raises
        StoreUnavailable."""
