"""What happens each second, and how it leaves time for everything else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog

from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds from one sweep to the next.
SWEEP: Final = 1.0

# Sessions looked after in one go, and streams compared: what else is due waits for 1 or 2 ms until that is done.
AT_ONCE: Final = 500


async def every_second(work: Callable[[], Awaitable[None]]) -> None:
    """Never ends. Where the work takes longer than a second, the next begins at once."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + SWEEP, loop.time())
        await asyncio.sleep(due - loop.time())
        try:
            await work()
        except StoreUnavailable as fault:
            log.warning("hub_sweep_failed", error=str(fault))
        except Exception:
            log.exception("hub_sweep_failed")


async def chunked(things: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Some of them at a time, all within half of the time until the next sweep."""
    for first in range(0, len(things), AT_ONCE):
        if first:
            await asyncio.sleep(SWEEP / 2 * AT_ONCE / len(things))
        yield things[first : first + AT_ONCE]
