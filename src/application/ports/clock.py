"""The ports for the time and for new ids, which pure code can't produce."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Reads the time."""

    def now(self) -> datetime:
        """Returns the wall time: aware, UTC. It may jump."""

    def monotonic(self) -> float:
        """Returns seconds since an arbitrary moment; never decreases. For measuring durations."""


class IdFactory(Protocol):
    """Creates ids."""

    def new_id(self) -> UUID:
        """Returns a UUIDv7 (RFC 9562, section 5.7): unique, and sorted by time of creation as far as clocks agree."""
