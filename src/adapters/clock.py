"""The system clock, and ids that ascend with time (UUIDv7)."""

import time
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat


class SystemClock:
    """Implements Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Uuid7Factory:
    """Implements IdFactory."""

    def new_id(self) -> UUID:
        return uuid_utils.compat.uuid7()
