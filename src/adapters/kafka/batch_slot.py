"""A buffer for one batch, between the task that polls Kafka and ingest."""

import asyncio
from collections.abc import Callable

from application.ports.event_source import Batch


class BatchSlot:
    """A buffer for at most one batch. Membership polls Kafka and puts a batch into the buffer while ingest stores the
    previous batch, so that reading and storing overlap.

    A batch counts as being stored from the return of `take` until the call of `done` or the next call of `take`.
    """

    def __init__(self) -> None:
        self._ready: Batch | None = None
        self._full = asyncio.Event()
        self._free = asyncio.Event()
        self._idle = asyncio.Event()
        self._free.set()
        self._idle.set()

    def put(self, batch: Batch) -> None:
        """Puts a batch into the buffer. Raises RuntimeError if the buffer contains a batch already."""
        if self._ready is not None:
            raise RuntimeError("the previous batch has not been consumed")
        self._ready = batch
        self._free.clear()
        self._full.set()

    def filter(self, select: Callable[[Batch], Batch]) -> None:
        """Replaces the batch in the buffer, if there is one, by the part of it that `select` returns. Discards it if
        that part has no messages."""
        if self._ready is not None:
            self._ready = select(self._ready)
            if not self._ready.messages:
                self.drop()

    def drop(self) -> None:
        """Discards the batch in the buffer, if there is one, because a rebalance begins or the consumer ends. Its
        events are not acknowledged, so Kafka delivers them again, to this node or to another."""
        self._ready = None
        self._full.clear()
        self._free.set()

    async def take(self) -> Batch:
        """Waits for a batch, removes it from the buffer and returns it. The batch that was taken before no longer
        counts as being stored."""
        self._idle.set()
        while (batch := self._ready) is None:
            await self._full.wait()
        self.drop()
        self._idle.clear()
        return batch

    def done(self) -> None:
        """Marks the batch that `take` has returned as no longer being stored: it was acknowledged, its acknowledgement
        failed, or the consumer that read it ends."""
        self._idle.set()

    async def free_within(self, seconds: float) -> bool:
        """Waits at most `seconds` until the buffer is empty. Returns False on a timeout."""
        return await _set_within(self._free, seconds)

    async def idle_within(self, seconds: float) -> bool:
        """Waits at most `seconds` until no batch counts as being stored. Returns False on a timeout."""
        return await _set_within(self._idle, seconds)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
