"""How fast events are published."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple


class Pace(NamedTuple):
    """`events` in total, `together` in one request, one request every `seconds` (0: as soon as the previous one is
    answered)."""

    events: int
    together: int
    seconds: float

    def __str__(self) -> str:
        if self.seconds:
            return f"one every {self.seconds * 1e3:g} ms"
        return f"{self.events:,} in requests of {self.together}"


STEADY: Final = Pace(200, 1, 0.03)
BURST: Final = Pace(1_000, 100, 0.0)


async def at_intervals(count: int, interval: float) -> AsyncIterator[int]:
    """Yields 0, 1, 2 …, one every `interval` seconds, if the consumer is fast enough."""
    due = time.perf_counter()
    for number in range(count):
        yield number
        due += interval
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
