"""The ports for the time and for new ids, which tests replace."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Provides the current time."""

    def now(self) -> datetime:
        """Returns the current time in UTC. It may jump forwards or backwards, because the system clock may be
        adjusted."""

    def monotonic(self) -> float:
        """Returns a number of seconds that never decreases. Only the difference of two results is meaningful: it is a
        duration."""


class IdFactory(Protocol):
    """Creates unique ids, for example for sessions and notifications."""

    def new_id(self) -> UUID:
        """Returns a new UUIDv7 (RFC 9562, section 5.7). Ids sort by the time of their creation; between nodes, only as
        exactly as their clocks agree."""
