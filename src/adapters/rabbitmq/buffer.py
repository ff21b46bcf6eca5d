"""The buffer between the consumer of the queue and ingest."""

import asyncio
from collections import deque
from typing import Final

from adapters.rabbitmq.messages import unpacked
from domain.broker_messages import Message

# Events in one batch, usually one transaction of the store: larger ones hold locks longer, smaller ones need more round
# trips for each event.
MAX_BATCH_SIZE: Final = 500
# Maximum size of the bodies in one batch, in bytes: several copies of them are in memory until they are stored.
BATCH_BYTES: Final = 16_000_000
# A body that can't be decoded counts as this many bodies of the maximum size, because the failure costs time twice: it
# is decoded up to the limit here, and again by ingest to report the error.
UNDECODABLE: Final = 4


class Buffer:
    """Messages in the order of the queue, each with its delivery tag. RabbitMQ's prefetch limits their number.

    Bodies are decoded when a batch is taken, so no more than one batch is decoded at a time.
    """

    def __init__(self, max_event_bytes: int = 0) -> None:
        """Bodies that exceed `max_event_bytes` when decoded are left encoded. 0 is no limit."""
        self._max_event_bytes = max_event_bytes
        self._waiting: deque[tuple[int, Message]] = deque()
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, tag: int, message: Message) -> None:
        """Appends a message. `tag` is its delivery tag."""
        self._waiting.append((tag, message))
        self._arrival.set()

    def drop(self) -> None:
        """Discards all messages. They are unacknowledged, so RabbitMQ redelivers them, with other tags."""
        self._waiting.clear()

    async def take(self) -> tuple[int, tuple[Message, ...]]:
        """Waits for messages. Returns at most one batch, and the delivery tag of its last message; a message larger
        than a batch is returned alone. No message is lost if the caller is cancelled."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        messages: list[Message] = []
        last = size = 0
        while self._waiting and len(messages) < MAX_BATCH_SIZE:
            tag, message = self._waiting[0]
            decoded = unpacked(message, self._max_event_bytes)
            size += UNDECODABLE * self._max_event_bytes if decoded is None else len(decoded.body or b"")
            if messages and size > BATCH_BYTES:
                break
            self._waiting.popleft()
            last = tag
            messages.append(decoded or message)
        return last, tuple(messages)
