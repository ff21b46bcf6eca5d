"""The port for rate limits."""

from typing import Protocol

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """A rate limit, as a token bucket: `per_second` requests per second on average, at most `burst` at once."""

    per_second: float
    burst: int


class Throttle(Protocol):
    """Counts requests by key, and refuses those that exceed a rate limit. LimitRate uses it with one key for each user
    and each token.

    If counts are lost or can't be read, more requests are allowed than the limit. Never raises.
    """

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """Counts `cost` requests for `key` and returns 0.0, if the rate limit allows them. Otherwise counts nothing,
        and returns the number of seconds to wait."""
