"""The port for events that are published to Herald over HTTP, without a broker."""

from collections.abc import Sequence
from typing import Protocol

from domain.broker_messages import Message


class EventPublisher(Protocol):
    """Hands published events over to ingest, which plans and stores them."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once the events of all messages are stored; those that could not be processed, as dead letters.
        Raises Unavailable if this node shuts down before that: some events may be stored, and the caller may publish
        all of them again."""
