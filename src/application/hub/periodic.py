"""Periodic work of the hub, divided into batches so that it does not block other tasks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from application.hub.policy import HubPolicy
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def every_sweep(work: Callable[[], Awaitable[None]], interval_s: float) -> None:
    """Calls `work` every `interval_s` seconds until cancelled. If a call takes longer than `interval_s`, the next one
    follows immediately. An exception of `work` is logged, and does not end the loop."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + interval_s, loop.time())
        await asyncio.sleep(due - loop.time())
        try:
            await work()
        except StoreUnavailable as error:
            log.warning("hub_sweep_failed", error=str(error))
        except Exception:
            log.exception("hub_sweep_failed")


async def chunked(items: Sequence[T], policy: HubPolicy) -> AsyncIterator[Sequence[T]]:
    """Yields the items in batches of at most `max_batch`, and sleeps between the batches so that other tasks run: in
    total for less than half of `sweep_interval_s`."""
    for first in range(0, len(items), policy.max_batch):
        if first:
            await asyncio.sleep(policy.sweep_interval_s / 2 * policy.max_batch / len(items))
        yield items[first : first + policy.max_batch]
