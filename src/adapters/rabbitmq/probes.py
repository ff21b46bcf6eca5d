"""Checks at intervals whether RabbitMQ answers, and how many messages wait in the queue."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, NoReturn

from aiormq import Channel
from aiormq.abc import AbstractChannel

from adapters.rabbitmq.outage_errors import Silent
from adapters.rabbitmq.timing import Timing


class Watch:
    """Queries RabbitMQ for the state of the queue every `Timing.probe` seconds, on a channel used for nothing else.
    This detects a frozen broker, or a network that drops packets, long before TCP times out.

    `answering` tells whether the last query was answered in time, `last_answer` when RabbitMQ answered last, and
    `ready` how many messages in the queue are not delivered to a consumer yet (None before the first answer).
    """

    def __init__(self, queue: str, timing: Timing) -> None:
        self.answering = False
        # The number of messages in the queue that were not delivered to a consumer yet; None before the first answer.
        self.ready: int | None = None
        self.last_answer: datetime | None = None
        self._queue = queue
        self._timing = timing
        self._last = time.monotonic()

    def note_answer(self) -> None:
        """Records that RabbitMQ has answered at the current time."""
        self.answering = True
        self.last_answer = datetime.now(UTC)
        self._last = time.monotonic()

    async def run(self, channel: AbstractChannel, consuming: Channel, tag: str) -> NoReturn:
        """Queries RabbitMQ until a fault. Raises Silent if RabbitMQ has not answered for `Timing.silence` seconds, or
        if the consumer `tag` of the channel `consuming` was cancelled. Raises aiormq's exception if a query fails, for
        example because the queue was deleted."""
        while True:
            if tag not in consuming.consumers:
                raise Silent(f"RabbitMQ has cancelled the consumer of {self._queue}")
            # No timeout on the call itself: aiormq would close the channel, and the next query would need a new one.
            asking = asyncio.ensure_future(channel.queue_declare(self._queue, passive=True))
            asking.add_done_callback(retrieve_exception)
            try:
                while not (await asyncio.wait({asking}, timeout=self._timing.probe))[0]:
                    self.answering = False
                    if time.monotonic() - self._last > self._timing.silence:
                        raise Silent(f"RabbitMQ has not answered for {self._timing.silence:g} s")
                self.ready = asking.result().message_count
            finally:
                asking.cancel()
            self.note_answer()
            await asyncio.sleep(self._timing.probe)


def retrieve_exception(asked: asyncio.Future[Any]) -> None:
    """Retrieves the exception of a finished task, so that asyncio does not log that it was never retrieved. A done
    callback for tasks that may fail after their connection has ended, when no code awaits them any more."""
    if not asked.cancelled():
        asked.exception()
