"""Exponential backoff: the delay before the client tries to reconnect."""

import random
from typing import Final

import msgspec

# A limit, because the power of 2 would overflow in a long outage.
MAX_DOUBLINGS: Final = 32


class Backoff(msgspec.Struct, frozen=True):
    """Computes the delay before a reconnect: a random time between 0 and a bound (exponential backoff with full
    jitter). The bound is `first` seconds after the first failure and doubles with each consecutive failure, up to
    `most` seconds.

    Full jitter spreads the reconnects of many clients whose node has failed, so that they do not all arrive at the same
    time.
    """

    first: float = 0.2
    most: float = 15.0

    def bound(self, failures: int) -> float:
        """Returns the maximum delay, in seconds, after `failures` consecutive failures (at least 1)."""
        doubled: float = self.first * 2.0 ** min(failures - 1, MAX_DOUBLINGS)
        return min(self.most, doubled)

    def delay(self, failures: int) -> float:
        """Returns a random delay between 0 and `bound(failures)`, in seconds. `failures` is the number of consecutive
        failures, at least 1."""
        return random.uniform(0.0, self.bound(failures))
