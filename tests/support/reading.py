"""Reading an event source in a test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from application.ports.event_source import EventSource, NotAcknowledged
from domain.broker_messages import Message


async def until(condition: Callable[[], bool], seconds: float = 20.0, what: Callable[[], object] = str) -> None:
    """Wait for a condition. On timeout, fails with the state that `what` returns."""
    deadline, pause = time.monotonic() + seconds, 0.001
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what()}"
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.02)


async def ready(source: EventSource, seconds: float = 20.0) -> None:
    await until(lambda: source.status().ready, seconds, source.status)


class Reader:
    """Takes all batches of a source and acknowledges them, as ingest does."""

    def __init__(self, source: EventSource) -> None:
        self.source = source
        self.messages: list[Message] = []

    @property
    def bodies(self) -> list[bytes | None]:
        return [message.body for message in self.messages]

    @property
    def once(self) -> list[bytes | None]:
        """Return the bodies without duplicates, in order of first arrival."""
        return list(dict.fromkeys(self.bodies))

    async def has(self, *bodies: bytes, seconds: float = 20.0) -> None:
        await until(lambda: set(bodies) <= set(self.bodies), seconds, lambda: (self.bodies[-10:], self.source.status()))

    async def read(self) -> None:
        while True:
            batch = await self.source.take()
            self.messages.extend(batch.messages)
            try:
                await self.source.acknowledge(batch)
            except NotAcknowledged:
                continue


@asynccontextmanager
async def reading(source: EventSource) -> AsyncIterator[Reader]:
    """Open the source and read it until the end of the block, then close it."""
    reader = Reader(source)
    await source.open()
    task = asyncio.create_task(reader.read())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await source.close()
