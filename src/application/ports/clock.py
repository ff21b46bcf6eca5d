"""The ports for what a pure program can't have: the time, and new names."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """For telling the time."""

    def now(self) -> datetime:
        """Wall time, aware, UTC. It may jump."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For measuring."""


class IdFactory(Protocol):
    """For naming new things."""

    def new_id(self) -> UUID:
        """A UUIDv7 (RFC 9562, section 5.7): unique, and sorted by the time of its making as far as clocks agree."""
