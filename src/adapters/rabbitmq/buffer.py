"""Between the one who is handed messages and the one who takes them."""

import asyncio
from collections import deque
from typing import Final

from adapters.rabbitmq.messages import unpacked
from domain.messages import Message

# The store's transaction: larger ones hold locks for longer, smaller ones cost more round trips an event.
BATCH: Final = 500
# And no more than so many bytes of bodies: on their way into the store there are several copies of them.
BATCH_BYTES: Final = 16_000_000
# What can't be decoded counts as so many of the largest events: it was decoded up to the limit for nothing, and will be
# once more by ingest, to say what is wrong with it.
UNDECODABLE: Final = 4


class Buffer:
    """Messages in the queue's order, each with its delivery tag. RabbitMQ's prefetch bounds how many there are.

    They wait as they came, and are decoded as they are taken, so that what is decoded is bounded by the batch.
    """

    def __init__(self, max_event_bytes: int = 0) -> None:
        """What is larger when decoded is left as it came."""
        self._max_event_bytes = max_event_bytes
        self._waiting: deque[tuple[int, Message]] = deque()
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, tag: int, message: Message) -> None:
        self._waiting.append((tag, message))
        self._arrival.set()

    def drop(self) -> None:
        """What nobody took will come again, under other tags."""
        self._waiting.clear()

    async def take(self) -> tuple[int, tuple[Message, ...]]:
        """All there is, up to a batch, and the last tag of it; a message larger than a batch comes alone. Nothing is
        lost with a taker who is cancelled."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        messages: list[Message] = []
        last = size = 0
        while self._waiting and len(messages) < BATCH:
            tag, message = self._waiting[0]
            decoded = unpacked(message, self._max_event_bytes)
            size += UNDECODABLE * self._max_event_bytes if decoded is None else len(decoded.body or b"")
            if messages and size > BATCH_BYTES:
                break
            self._waiting.popleft()
            last = tag
            messages.append(decoded or message)
        return last, tuple(messages)
