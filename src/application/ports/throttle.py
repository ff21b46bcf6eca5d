"""The port for rate limits."""

from typing import Protocol

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """A token bucket: `per_second` requests on average, and up to `burst` at once."""

    per_second: float
    burst: int


class Throttle(Protocol):
    """Counts the requests of callers.

    Rates are best effort: a throttle that has lost its counts, or can't read them, allows everything. Never raises.
    """

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """Returns 0.0 and charges `cost` if `key` is within the rate. Otherwise charges nothing, and returns the
        seconds to wait."""
