"""Paces."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple


class Pace(NamedTuple):
    """So many events, so many of them in a request, and a request every so many seconds, or as soon as the last one is
    answered."""

    events: int
    together: int
    seconds: float

    def __str__(self) -> str:
        if self.seconds:
            return f"one every {self.seconds * 1e3:g} ms"
        return f"{self.events:,} in requests of {self.together}"


STEADY: Final = Pace(200, 1, 0.03)
BURST: Final = Pace(1_000, 100, 0.0)


async def steadily(count: int, pace: float) -> AsyncIterator[int]:
    """0, 1, 2 …, one every `pace` seconds, on time if whoever takes them lets it."""
    due = time.perf_counter()
    for number in range(count):
        yield number
        due += pace
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
