"""The in-process broker: a queue in memory for the events of `POST /api/v1/events`. It is the only event source if no
other broker is configured."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from application.log_context import current_request_id
from application.ports.event_source import Batch, NotAcknowledged, SourceStatus
from domain.broker_messages import Message
from domain.caller_errors import Unavailable

# Maximum number of messages in one batch, the same as for Kafka: larger batches block the event loop, smaller ones cost
# more transactions.
MAX_BATCH_SIZE: Final = 500


class _PublishCall:
    """One call of `MemoryBroker.publish`. `open` is the number of its messages that are not acknowledged yet; `stored`
    is a future that is done when `open` is 0. `request_id` is the id of the HTTP request that made the call."""

    def __init__(self, count: int) -> None:
        self.open = count
        self.request_id = current_request_id()
        self.stored = asyncio.get_running_loop().create_future()


class MemoryBroker:
    """Implements EventSource and EventPublisher with a queue in memory. `publish` returns after ingest has stored and
    acknowledged the messages, because unacknowledged messages are lost when the process ends."""

    name = "memory"
    max_poll_age_s = None
    queue = None

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, _PublishCall]] = deque()
        self._taken: deque[tuple[Message, _PublishCall]] = deque()
        self._arrival = asyncio.Event()
        self._open = False
        self._closed = False
        self._last_poll: datetime | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Adds the messages to the queue, and returns when ingest has acknowledged all of them. If the call is
        cancelled, the messages stay in the queue and are still stored. Raises Unavailable if the broker is closed
        already, or is closed before all messages are acknowledged."""
        if self._closed:
            raise Unavailable
        published = _PublishCall(len(messages))
        self._waiting.extend((message, published) for message in messages)
        self._arrival.set()
        if messages:
            await published.stored

    def change_patterns(self, patterns: Sequence[str]) -> None:
        """Does nothing, because this broker delivers the events of all sources."""

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
