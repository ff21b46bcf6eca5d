"""The interfaces of the statements that write, with one implementation for each database: on PostgreSQL, one statement
gets all rows, as one array for each column; on SQLite, a statement is run for each row."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch_rows import Arrivals, BatchedDeadLetter, Counter
from application.ports.clock import IdFactory
from application.ports.deliveries import Outcome
from domain.deliveries import Delivery

# The key of an event's delivery: channel, destination, origin, event id.
Key: TypeAlias = tuple[str, str, str, str]


class Writing(Protocol):
    """Runs the statements by which a Recording stores notifications, broadcasts and dead letters. `check_duplicates`
    says whether the first attempt to store a batch looks for events that are stored already: False on PostgreSQL, where
    this costs a round trip, and True on SQLite, where it is cheap."""

    check_duplicates: bool

    async def open_streams(self, connection: AsyncConnection, users: Sequence[str], feeds: Sequence[str]) -> None:
        """Inserts the missing rows of `inboxes` for these users, and of `feeds` for these feeds. `users` and `feeds`
        must be sorted, so that concurrent calls can't deadlock."""

    async def entry_sources(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        """Looks up stored entries by key: user or feed (according to `kind`), origin, event id. Returns the source of
        each entry that was found, by its key."""

    async def add_notifications(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Inserts notifications, except those whose event is already in the inbox, and writes the counters (last
        position, unread total …) of the inboxes. Returns the number of inserted notifications."""

    async def add_broadcasts(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Inserts broadcasts, except those whose event is already in the feed, and writes the counters (last position
        …) of the feeds. Returns the number of inserted broadcasts."""

    async def dead_letter_sources(self, connection: AsyncConnection, identities: Sequence[bytes]) -> dict[bytes, str]:
        """Looks up stored dead letters by identity (the SHA-256 digest of origin and event id). Returns the source of
        each dead letter that was found, by its identity."""

    async def store_dead_letters(
        self, connection: AsyncConnection, letters: dict[bytes, BatchedDeadLetter], ids: IdFactory, now: datetime
    ) -> dict[bytes, bool]:
        """Stores dead letters by identity (the SHA-256 digest of origin and event id). If a dead letter with this
        identity is stored already, replaces it, and adds the new `times` to the stored `times`. Returns, by identity,
        whether the dead letter is new.

        If the stored dead letter has another source, and the new one has `by_source` set (see BatchedDeadLetter), the
        new one is neither stored nor returned.
        """


class DeliveryWriting(Protocol):
    """Runs the statements that insert deliveries (for a Recording) and record their outcomes (for SqlDeliveries)."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        """Inserts deliveries, and returns the ids of those that were inserted. Skips a delivery if its destination
        already has, on the same channel, a delivery with the same event id and the same origin or qualified origin."""

    async def sources(self, connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
        """Looks up stored deliveries by key: channel, destination, origin, event id. Returns the source of each
        delivery that was found, by its key."""

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        """Records outcomes, and returns how many were recorded. Ignores the outcome of a claim that has been replaced
        by another claim of the same delivery."""
