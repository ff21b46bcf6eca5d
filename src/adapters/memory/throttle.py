"""The throttle in memory: rate limits for the callers of this node."""

from collections import OrderedDict
from typing import Final

from application.ports.clock import Clock
from application.ports.throttle import Rate

MAX_KEYS: Final = 100_000

# In tokens. Compensates for rounding errors, so that a caller that waits exactly as long as requested is not refused.
_TOLERANCE: Final = 1e-6


class MemoryThrottle:
    """Implements Throttle with a token bucket for each key.

    A key without a bucket is treated as if its bucket were full. So when there are more than `most_keys` buckets, the
    full ones are deleted. If more than half of `most_keys` remain, the least recently used ones are deleted as well.

    A request whose cost exceeds the size of the bucket is allowed when the bucket is full. The number of tokens is
    negative then, so later requests wait longer.
    """

    def __init__(self, clock: Clock, most_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        # By key: when its bucket is full again, in monotonic seconds. Least recently used first.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        now = self._clock.monotonic()
        full_at = max(self._full_at.get(key, now), now)
        tokens = rate.burst - (full_at - now) * rate.per_second
        missing = min(cost, rate.burst) - tokens
        if missing > _TOLERANCE:
            return missing / rate.per_second
        self._full_at[key] = full_at + cost / rate.per_second
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most_keys:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        self._full_at = OrderedDict((key, full_at) for key, full_at in self._full_at.items() if full_at > now)
        while len(self._full_at) > self._most_keys // 2:
            self._full_at.popitem(last=False)
