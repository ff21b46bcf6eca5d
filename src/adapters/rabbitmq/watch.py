"""Whether RabbitMQ still answers, and what waits there."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, NoReturn

from aiormq import Channel
from aiormq.abc import AbstractChannel

from adapters.rabbitmq.faults import Silent
from adapters.rabbitmq.timing import Timing


class Watch:
    """Asks every few seconds for the queue, on a channel of its own.

    The answer shows that the broker is alive and how much waits; none comes where a broker is frozen, or a network
    swallows what is sent, long before TCP gives up. Where the queue is gone, RabbitMQ says so by closing the channel.
    """

    def __init__(self, queue: str, timing: Timing) -> None:
        self.answering = False
        # Messages that no consumer has been handed yet.
        self.ready: int | None = None
        self.heard: datetime | None = None
        self._queue = queue
        self._timing = timing
        self._last = time.monotonic()

    def hear(self) -> None:
        """RabbitMQ has said something."""
        self.answering = True
        self.heard = datetime.now(UTC)
        self._last = time.monotonic()

    async def run(self, channel: AbstractChannel, consuming: Channel, tag: str) -> NoReturn:
        """Raises AMQPError, or Silent."""
        while True:
            if tag not in consuming.consumers:
                raise Silent(f"RabbitMQ has cancelled the consumer of {self._queue}")
            # Without a time limit of its own: aiormq would close the channel, and the next question need another.
            asking = asyncio.ensure_future(channel.queue_declare(self._queue, passive=True))
            asking.add_done_callback(look_at)
            try:
                while not (await asyncio.wait({asking}, timeout=self._timing.probe))[0]:
                    self.answering = False
                    if time.monotonic() - self._last > self._timing.silence:
                        raise Silent(f"RabbitMQ has not answered for {self._timing.silence:g} s")
                self.ready = asking.result().message_count
            finally:
                asking.cancel()
            self.hear()
            await asyncio.sleep(self._timing.probe)


def look_at(asked: asyncio.Future[Any]) -> None:
    """For asyncio, which complains of faults that nobody looked at: nobody does where the connection ends first."""
    if not asked.cancelled():
        asked.exception()
