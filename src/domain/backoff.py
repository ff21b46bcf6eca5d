"""Exponential backoff with jitter."""

import msgspec

# Bounds the exponent, so that the power stays finite. Long before, the delay has reached its maximum.
_MAX_EXPONENT = 64


class Backoff(msgspec.Struct, frozen=True):
    """The delays before retries: `initial_s` seconds after the first failure, `factor` times as long after each further
    one, at most `max_s`. `jitter` is the share of a delay that is random, so that many clients of one server do not
    retry at the same time.
    """

    initial_s: float
    max_s: float
    factor: float = 2.0
    jitter: float = 0.5

    def delay_s(self, failures: int, chance: float) -> float:
        """Returns the delay in seconds after `failures` (at least 1) failures in a row. `chance` is a random number
        from 0 to 1; the larger it is, the shorter is the delay.
        """
        full = min(self.initial_s * self.factor ** min(failures - 1, _MAX_EXPONENT), self.max_s)
        return full * (1 - self.jitter * chance)
