"""The clock of the operating system, and new ids (UUIDv7, which sort by creation time)."""

import time
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat


class SystemClock:
    """Implements the port Clock with the clocks of the operating system: the time in UTC, and seconds to measure
    durations."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Uuid7Factory:
    """Implements the port IdFactory: creates UUIDv7, which sort by creation time."""

    def new_id(self) -> UUID:
        return uuid_utils.compat.uuid7()
