"""The port for how often someone may do something."""

from typing import Protocol

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """`per_second` in the long run, and up to `burst` at once."""

    per_second: float
    burst: int


class Throttle(Protocol):
    """For counting what callers do.

    Rates are soft: a throttle that has lost its memory, or can't reach it, lets everyone pass. Never raises.
    """

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """0.0 if `key` may go on, which counts; else the seconds to wait, which counts for nothing."""
