"""The port for dead letters: events that could not be processed, until they are replayed or dropped."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.planning import DeadLetter


class KeptDeadLetter(msgspec.Struct, frozen=True):
    """A stored dead letter. `times` counts the arrivals of its event: more than one after a failed replay or a
    redelivery. `letter` is the latest one, `kept_at` the time of the first."""

    id: UUID
    kept_at: datetime
    letter: DeadLetter
    times: int = 1


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Selects dead letters; None matches any value. `start` and `end` are inclusive bounds of the time of storing."""

    source: str | None = None
    reason: str | None = None
    start: datetime | None = None
    end: datetime | None = None


ANY: Final = DeadLetterFilter()


class DeadLetters(Protocol):
    """Lists and drops dead letters. Store.record stores them.

    Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        """Returns at most `limit` dead letters, newest first. With `before`, only those stored before the dead letter
        with this id."""

    async def count(self, filter: DeadLetterFilter) -> int: ...

    async def get(self, id: UUID) -> KeptDeadLetter | None: ...

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        """Returns the dead letters with these ids, by id, in one round trip. Ids that do not exist are left out."""

    async def drop(self, letters: Sequence[KeptDeadLetter]) -> int:
        """Drops these dead letters and returns how many were dropped. A dead letter whose event has arrived again in
        the meantime (`times` differs) stays."""
