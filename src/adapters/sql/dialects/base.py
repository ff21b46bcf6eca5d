"""What the two databases write differently: PostgreSQL whole columns at once, SQLite row by row."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch import Arrivals, BatchedDeadLetter, Counter
from application.ports.clock import IdFactory


class Writing(Protocol):
    """The statements of a recording. `check_duplicates`: looking rows up first costs next to nothing here."""

    check_duplicates: bool

    async def open_streams(self, connection: AsyncConnection, users: Sequence[str], feeds: Sequence[str]) -> None:
        """Makes counters for those that have none. Names come sorted."""

    async def known(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        """Which of these (user or feed, origin, event id) are stored, each with its source."""

    async def add_notifications(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Adds the rows and sets the counters. Returns how many were added: what is stored already is not."""

    async def add_broadcasts(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """The same for feeds."""

    async def dead_letter_sources(self, connection: AsyncConnection, identities: Sequence[bytes]) -> dict[bytes, str]:
        """The sources of the dead letters with these identities."""

    async def store_dead_letters(
        self, connection: AsyncConnection, letters: dict[bytes, BatchedDeadLetter], ids: IdFactory, now: datetime
    ) -> dict[bytes, bool]:
        """Keeps each letter under its identity, or notes that it came again. Returns for each whether it is new; those
        whose identity is held by a letter of another source, and are `by_source`, are left out and not kept."""
