"""How long to wait before the next attempt."""

import random
from typing import Final

import msgspec

# Doublings after which nothing grows any more, whatever the numbers: 2.0 to the power of a long outage is infinite.
MOST_DOUBLINGS: Final = 32


class Backoff(msgspec.Struct, frozen=True):
    """Exponential, with full jitter: anywhere between nothing and a bound that doubles from `first` to `most` seconds.

    Full, since it is what keeps a thousand clients of a node that died from coming back as one: a wait of the bound
    and a little more or less would still bring them in waves.
    """

    first: float = 0.2
    most: float = 15.0

    def bound(self, failures: int) -> float:
        """The longest wait after so many failures in a row, 1 or more."""
        doubled: float = self.first * 2.0 ** min(failures - 1, MOST_DOUBLINGS)
        return min(self.most, doubled)

    def delay(self, failures: int) -> float:
        return random.uniform(0.0, self.bound(failures))
