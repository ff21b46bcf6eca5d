"""The port for events that reach Herald directly, not by way of another service's broker."""

from collections.abc import Sequence
from typing import Protocol

from domain.messages import Message


class EventPublisher(Protocol):
    """For handing events to ingest."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once all of them are stored, or kept as dead letters. Raises Unavailable when this node takes no
        more events: some may have been stored nevertheless, and all may be published again."""
