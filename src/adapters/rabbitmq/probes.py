"""Checks whether RabbitMQ answers, and how many messages wait in the queue."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, NoReturn

from aiormq import Channel
from aiormq.abc import AbstractChannel

from adapters.rabbitmq.outages import Silent
from adapters.rabbitmq.timing import Timing


class Watch:
    """Queries the queue every few seconds, on a channel of its own.

    An answer shows that the broker is alive, and how many messages wait. A missing answer reveals a frozen broker, or a
    network that drops packets, long before TCP times out. If the queue was deleted, RabbitMQ closes the channel, and
    `run` raises its error.
    """

    def __init__(self, queue: str, timing: Timing) -> None:
        self.answering = False
        # The number of messages in the queue that were not delivered to a consumer yet; None before the first answer.
        self.ready: int | None = None
        self.last_answer: datetime | None = None
        self._queue = queue
        self._timing = timing
        self._last = time.monotonic()

    def hear(self) -> None:
        """Notes that RabbitMQ has answered just now."""
        self.answering = True
        self.last_answer = datetime.now(UTC)
        self._last = time.monotonic()

    async def run(self, channel: AbstractChannel, consuming: Channel, tag: str) -> NoReturn:
        """Queries the queue until a fault. Then raises AMQPError or Silent."""
        while True:
            if tag not in consuming.consumers:
                raise Silent(f"RabbitMQ has cancelled the consumer of {self._queue}")
            # No timeout on the call itself: aiormq would close the channel, and the next query would need a new one.
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
    """Marks the exception of a finished task as retrieved, so that asyncio does not log it. Used for tasks that may
    fail after their connection has ended, when nothing waits for them any more."""
    if not asked.cancelled():
        asked.exception()
