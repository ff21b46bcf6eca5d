"""The delay before the next attempt."""

import random
from typing import Final

import msgspec

# More doublings would overflow in a long outage.
MAX_DOUBLINGS: Final = 32


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with full jitter: a random delay between 0 and a bound that doubles from `first` to `most`
    seconds.

    Full jitter spreads the clients of a failed node over the whole time; less jitter would make them reconnect in
    waves.
    """

    first: float = 0.2
    most: float = 15.0

    def bound(self, failures: int) -> float:
        """The maximum delay in seconds after this many consecutive failures, at least 1."""
        doubled: float = self.first * 2.0 ** min(failures - 1, MAX_DOUBLINGS)
        return min(self.most, doubled)

    def delay(self, failures: int) -> float:
        return random.uniform(0.0, self.bound(failures))
