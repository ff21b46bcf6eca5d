"""Exponential backoff with jitter."""

import msgspec

# At this many failures the delay has reached its maximum; the bound keeps the power finite.
_MAX_EXPONENT = 64


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait before another attempt: `initial_s` seconds after the first failure, `factor` times as long
    after each further one, at most `max_s`. `jitter` is the share of a delay that is random, so that many clients of
    one server do not try again at the same time."""

    initial_s: float
    max_s: float
    factor: float = 2.0
    jitter: float = 0.5

    def delay_s(self, failures: int, chance: float) -> float:
        """The delay after so many failures in a row, at least 1. `chance` is a random number from 0 to 1."""
        full = min(self.initial_s * self.factor ** min(failures - 1, _MAX_EXPONENT), self.max_s)
        return full * (1 - self.jitter * chance)
