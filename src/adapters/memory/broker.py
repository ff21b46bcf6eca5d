"""The in-process broker: the target of `POST /api/v1/events`, and the only source if no other broker is configured."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from application.log_context import current_request_id
from application.ports.event_source import Batch, NotAcknowledged, SourceStatus
from domain.broker_messages import Message
from domain.errors import Unavailable

# Maximum number of messages in one batch, the same as for Kafka: larger batches block the event loop, smaller ones cost
# more transactions.
MAX_BATCH_SIZE: Final = 500


class _Published:
    """The messages of one call of `publish`: the number of those that are not yet acknowledged (`open`), and the id of
    the HTTP request that published them. `stored` is done once all are acknowledged."""

    def __init__(self, count: int) -> None:
        self.open = count
        self.request_id = current_request_id()
        self.stored = asyncio.get_running_loop().create_future()


class MemoryBroker:
    """Implements EventSource and EventPublisher. Messages that are not yet acknowledged are lost when the process ends,
    so `publish` returns only after the acknowledgement."""

    name = "memory"
    max_poll_age_s = None
    queue = None

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, _Published]] = deque()
        self._taken: deque[tuple[Message, _Published]] = deque()
        self._arrival = asyncio.Event()
        self._open = False
        self._closed = False
        self._last_poll: datetime | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once all messages are acknowledged. Cancelling the call does not withdraw the messages. Raises
        Unavailable if the broker is closed, or is closed before all are acknowledged."""
        if self._closed:
            raise Unavailable
        published = _Published(len(messages))
        self._waiting.extend((message, published) for message in messages)
        self._arrival.set()
        if messages:
            await published.stored

    async def open(self) -> None:
        self._open, self._closed = True, False

    async def take(self) -> Batch:
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        self._last_poll = datetime.now(UTC)
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH_SIZE))]
        self._taken.extend(taken)
        requests = dict.fromkeys(published.request_id for _, published in taken if published.request_id)
        return Batch(tuple(message for message, _ in taken), receipt=taken, request_ids=tuple(requests))

    async def acknowledge(self, batch: Batch) -> None:
        for item in batch.receipt:
            if item not in self._taken:
                raise NotAcknowledged("the broker was closed, which returned these messages to its queue")
            self._taken.remove(item)
            published = item[1]
            published.open -= 1
            if published.open == 0 and not published.stored.done():
                published.stored.set_result(None)

    def status(self) -> SourceStatus:
        lag = len(self._waiting)
        return SourceStatus(self.name, self._open, "" if self._open else "not open", last_poll=self._last_poll, lag=lag)

    async def close(self) -> None:
        self._open, self._closed = False, True
        self._waiting.extendleft(reversed(self._taken))
        self._taken.clear()
        for _, published in self._waiting:
            if not published.stored.done():
                published.stored.set_exception(
                    Unavailable("This node is shutting down: publish again, with the same ids.")
                )
