"""The port for rate limits."""

from typing import Protocol

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """A token bucket: `per_second` on average, and up to `burst` in one moment."""

    per_second: float
    burst: int


class Throttle(Protocol):
    """Counts the acts of callers.

    Rates are best effort: a throttle that has lost its counts, or can't read them, allows everything. Never raises.
    """

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """Returns 0.0 if `key` is allowed, and charges the cost. Otherwise returns the seconds to wait, and charges
        nothing."""
