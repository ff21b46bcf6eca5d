"""Exponential backoff with jitter."""

import msgspec

# Bounds the exponent, so that the power stays finite. Long before, the delay has reached its maximum.
_MAX_EXPONENT = 64


class Backoff(msgspec.Struct, frozen=True):
    """The policy for the delays between retries. The delay after the first failure is `initial_s` seconds; after each
    further failure it is `factor` times as long, up to `max_s` seconds. Each delay is shortened by a random share of up
    to `jitter` (0.5: by up to half), so that many clients of one server do not retry at the same time.
    """

    initial_s: float
    max_s: float
    factor: float = 2.0
    jitter: float = 0.5

    def delay_s(self, failures: int, chance: float) -> float:
        """Returns the delay in seconds before the next retry, after `failures` failures in a row (at least 1). `chance`
        is a random number from 0 to 1: with 0 the delay is not shortened, with 1 it is shortened by the whole share
        `jitter`.
        """
        full = min(self.initial_s * self.factor ** min(failures - 1, _MAX_EXPONENT), self.max_s)
        return full * (1 - self.jitter * chance)
