"""A buffer for messages that RabbitMQ has delivered and that ingest has not taken yet."""

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
    """The messages that RabbitMQ has delivered, in the order of the queue, until ingest takes them in batches. Each
    message has a delivery tag, the number by which it is acknowledged. RabbitMQ limits the number of messages
    (HERALD_RABBITMQ_PREFETCH).

    Bodies that are compressed, or not in UTF-8, are decoded when their batch is taken, so that only one batch of
    decoded bodies is in memory.
    """

    def __init__(self, max_event_bytes: int = 0) -> None:
        """A body that would have more than `max_event_bytes` bytes after decoding is not decoded here; ingest makes the
        event a dead letter. 0 means no limit."""
        self._max_event_bytes = max_event_bytes
        self._waiting: deque[tuple[int, Message]] = deque()
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, tag: int, message: Message) -> None:
        """Appends a message. `tag` is the delivery tag of the message."""
        self._waiting.append((tag, message))
        self._arrival.set()

    def drop(self) -> None:
        """Discards all messages, because their connection has ended. RabbitMQ redelivers them on another connection,
        with other delivery tags."""
        self._waiting.clear()

    async def take(self) -> tuple[int, tuple[Message, ...]]:
        """Waits for messages. Returns the messages of one batch, and the delivery tag of the last of them. A batch has
        at most MAX_BATCH_SIZE messages and BATCH_BYTES bytes of bodies; a larger message is a batch of its own. No
        message is lost if the caller is cancelled."""
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
