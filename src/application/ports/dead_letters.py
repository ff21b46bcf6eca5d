"""The port for dead letters: events that could not be processed, until they are replayed or dropped."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.planning import DeadLetter


class KeptDeadLetter(msgspec.Struct, frozen=True):
    """A stored dead letter. `times` counts how often its event has come: more than once after a replay that failed, or
    a redelivery. `letter` is the latest one, `kept_at` the time of the first."""

    id: UUID
    kept_at: datetime
    letter: DeadLetter
    times: int = 1


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Selects dead letters; None matches any value. `start` and `end` bound the time of storing, both included."""

    source: str | None = None
    reason: str | None = None
    start: datetime | None = None
    end: datetime | None = None


ANY: Final = DeadLetterFilter()


class DeadLetters(Protocol):
    """For listing and dropping dead letters. Store.record stores them.

    Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        """Newest first; with `before`, those stored before that one."""

    async def count(self, filter: DeadLetterFilter) -> int: ...

    async def get(self, id: UUID) -> KeptDeadLetter | None: ...

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        """Those of the ids that exist, in one round trip."""

    async def drop(self, letters: Sequence[KeptDeadLetter]) -> int:
        """Drops those that are unchanged: one whose event has come again meanwhile (`times` differs) stays. Returns how
        many were dropped."""
