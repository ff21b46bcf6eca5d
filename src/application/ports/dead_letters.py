"""The port for dead letters: events that could not be processed, until they are replayed or dropped."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.plans import DeadLetter


class KeptDeadLetter(msgspec.Struct, frozen=True):
    """A dead letter as it is stored. If its event fails again, by a replay or because the broker redelivers it,
    `letter` is replaced by the new dead letter and `times` rises by 1. `kept_at` is the time at which the first one was
    stored."""

    id: UUID
    kept_at: datetime
    letter: DeadLetter
    times: int = 1


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Selects dead letters that have all given values; None allows any value. `start` and `end` limit the time at which
    the dead letter was stored (`kept_at`); both are inclusive."""

    source: str | None = None
    reason: str | None = None
    start: datetime | None = None
    end: datetime | None = None


ANY: Final = DeadLetterFilter()


class DeadLetters(Protocol):
    """Lists and deletes stored dead letters. New ones are stored by Store.record.

    Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        """Returns at most `limit` dead letters that the filter selects, newest first. `before` is the id of a dead
        letter: if it is set, only older ones are returned."""

    async def count(self, filter: DeadLetterFilter) -> int: ...

    async def get(self, id: UUID) -> KeptDeadLetter | None: ...

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        """Returns the dead letters with these ids, keyed by id. Ids without a dead letter are left out."""

    async def drop(self, letters: Sequence[KeptDeadLetter]) -> int:
        """Deletes these dead letters and returns the number deleted. A dead letter is kept if its event has failed
        again since it was read: if the stored `times` differs from the given one."""
