"""Interfaces of the statements that write. They differ because PostgreSQL gets the rows as one array for each column,
and SQLite gets them one by one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch import Arrivals, BatchedDeadLetter, Counter
from application.ports.clock import IdFactory
from application.ports.deliveries import Outcome
from domain.deliveries import Delivery

# The key of an event's delivery: channel, destination, origin, event id.
Key: TypeAlias = tuple[str, str, str, str]


class Writing(Protocol):
    """The statements of a recording. `check_duplicates` is True if a recording should look up existing rows before
    writing: it is cheap on SQLite, and costs a round trip on PostgreSQL."""

    check_duplicates: bool

    async def open_streams(self, connection: AsyncConnection, users: Sequence[str], feeds: Sequence[str]) -> None:
        """Creates counters for those of the streams that have none. Both sequences must be sorted."""

    async def known(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        """Returns the source of the stored row for each key (user or feed, origin, event id) that is stored."""

    async def add_notifications(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Inserts the rows, skipping those that are already stored, and writes the counters. Returns the number of
        inserted rows."""

    async def add_broadcasts(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Inserts the rows of feeds, as `add_notifications` does for inboxes."""

    async def dead_letter_sources(self, connection: AsyncConnection, identities: Sequence[bytes]) -> dict[bytes, str]:
        """Returns the sources of the stored dead letters with these identities, by identity."""

    async def store_dead_letters(
        self, connection: AsyncConnection, letters: dict[bytes, BatchedDeadLetter], ids: IdFactory, now: datetime
    ) -> dict[bytes, bool]:
        """Stores each dead letter under its identity. If the identity is already stored, replaces that dead letter and
        adds to its `times`. Returns for each identity whether it is new.

        The exception is a dead letter with `by_source` whose identity is stored for another source: it is neither
        stored nor returned.
        """


class DeliveryWriting(Protocol):
    """The statements that write deliveries."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        """Inserts the deliveries, except those whose event already has a delivery to the same destination, under its
        origin or its qualified origin. Returns the ids of the inserted deliveries."""

    async def sources(self, connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
        """Returns the source of the stored delivery for each key that is stored."""

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        """Records the outcomes of those deliveries that still have the lease of their claim. Returns the number of
        these."""
