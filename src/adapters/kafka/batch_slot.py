"""A buffer for one batch, between polling Kafka and ingest."""

import asyncio

from application.ports.event_source import Batch


class BatchSlot:
    """Holds at most one polled batch while ingest stores the previous one. So fetching and storing overlap, and memory
    stays bounded.

    The slot is free while it holds no batch, and idle while no batch is being stored. A batch counts as being stored
    from the return of `take` until `done` or the next call of `take`.
    """

    def __init__(self) -> None:
        self._ready: Batch | None = None
        self._full = asyncio.Event()
        self._free = asyncio.Event()
        self._idle = asyncio.Event()
        self._free.set()
        self._idle.set()

    def put(self, batch: Batch) -> None:
        """Fills the slot. Raises RuntimeError if it is full, since the batch in it would be lost."""
        if self._ready is not None:
            raise RuntimeError("the previous batch has not been consumed")
        self._ready = batch
        self._free.clear()
        self._full.set()

    def drop(self) -> None:
        """Empties the slot. Kafka redelivers the events of a batch that is discarded without being taken, to this node
        or to another."""
        self._ready = None
        self._full.clear()
        self._free.set()

    async def take(self) -> Batch:
        """Waits until the slot is full, empties it and returns the batch. Marks the previous batch as finished."""
        self._idle.set()
        while (batch := self._ready) is None:
            await self._full.wait()
        self.drop()
        self._idle.clear()
        return batch

    def done(self) -> None:
        """Marks the batch that `take` returned as finished: it was acknowledged, or its acknowledgement failed."""
        self._idle.set()

    async def free_within(self, seconds: float) -> bool:
        """Waits at most `seconds` for the slot to be free. Returns whether it is."""
        return await _set_within(self._free, seconds)

    async def idle_within(self, seconds: float) -> bool:
        """Waits at most `seconds` until no batch is being stored. Returns False if one still is."""
        return await _set_within(self._idle, seconds)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
