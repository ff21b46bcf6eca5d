"""The delay before the next attempt."""

import random
from typing import Final

import msgspec

# A limit, because the power of 2 would overflow in a long outage.
MAX_DOUBLINGS: Final = 32


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with full jitter: a random delay between 0 and a bound. The bound starts at `first` seconds,
    and doubles with each consecutive failure up to `most` seconds.

    Full jitter spreads the reconnects of a failed node's clients over the whole time; with less jitter, many clients
    would reconnect at the same time.
    """

    first: float = 0.2
    most: float = 15.0

    def bound(self, failures: int) -> float:
        """Returns the maximum delay in seconds after this number of consecutive failures, which is at least 1."""
        doubled: float = self.first * 2.0 ** min(failures - 1, MAX_DOUBLINGS)
        return min(self.most, doubled)

    def delay(self, failures: int) -> float:
        """Returns a random delay in seconds after this number of consecutive failures."""
        return random.uniform(0.0, self.bound(failures))
