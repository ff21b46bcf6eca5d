"""The port for events that are published to Herald directly, without a broker."""

from collections.abc import Sequence
from typing import Protocol

from domain.broker_messages import Message


class EventPublisher(Protocol):
    """Passes events to ingest."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once all messages are stored, possibly as dead letters. Raises Unavailable if this node accepts no
        more events. Some may have been stored nevertheless; all may be published again."""
