"""The ports for the time and for new ids, which pure code can't produce."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Reads the time."""

    def now(self) -> datetime:
        """Returns the current time, with the time zone UTC. The clock may be adjusted, so the time may jump."""

    def monotonic(self) -> float:
        """Returns the seconds since an arbitrary moment, to measure durations. The value never decreases."""


class IdFactory(Protocol):
    """Creates ids."""

    def new_id(self) -> UUID:
        """Returns a UUIDv7 (RFC 9562, section 5.7). It is unique, and sorts by the time of creation, as far as the
        clocks of nodes agree."""
