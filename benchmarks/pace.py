"""A steady pace."""

import asyncio
import time
from collections.abc import AsyncIterator


async def steadily(count: int, pace: float) -> AsyncIterator[int]:
    """0, 1, 2 …, one every `pace` seconds, on time if whoever takes them lets it."""
    due = time.perf_counter()
    for number in range(count):
        yield number
        due += pace
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
