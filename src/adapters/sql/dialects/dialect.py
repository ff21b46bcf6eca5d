"""The interfaces of statements that write: PostgreSQL takes whole columns, SQLite single rows."""

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
    """The statements of a recording. `check_duplicates`: looking up rows before writing them is cheap on this
    database.
    """

    check_duplicates: bool

    async def open_streams(self, connection: AsyncConnection, users: Sequence[str], feeds: Sequence[str]) -> None:
        """Create counters for streams without any. The names are sorted."""

    async def known(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        """Find which of these keys (user or feed, origin, event id) are stored. Returns the source of each."""

    async def add_notifications(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Add the rows and set the counters. Returns the number of rows added; rows that are already stored are
        skipped.
        """

    async def add_broadcasts(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        """Add the rows of feeds, as `add_notifications` does for inboxes."""

    async def dead_letter_sources(self, connection: AsyncConnection, identities: Sequence[bytes]) -> dict[bytes, str]:
        """The sources of the stored dead letters with these identities."""

    async def store_dead_letters(
        self, connection: AsyncConnection, letters: dict[bytes, BatchedDeadLetter], ids: IdFactory, now: datetime
    ) -> dict[bytes, bool]:
        """Store each dead letter under its identity, or count a repetition of a stored one. Returns for each identity
        whether it is new. A dead letter with `by_source` is neither stored nor returned if its identity belongs to a
        dead letter of another source.
        """


class DeliveryWriting(Protocol):
    """The statements that write deliveries."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        """Add the deliveries that are not yet stored for the same event and destination, under their origin or the
        qualified one. Returns the ids of those added.
        """

    async def sources(self, connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
        """The sources of the deliveries that are stored, by key."""

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        """Record the outcomes of deliveries that still have the lease of the claim. Returns their number."""
