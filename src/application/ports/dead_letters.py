"""The port for events that could not be processed, until someone replays or drops them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.planning import DeadLetter


class KeptDeadLetter(msgspec.Struct, frozen=True):
    """A dead letter as it is kept. `times` counts how often its event came: more than once after a replay that
    failed again, or a redelivery; `letter` is the latest, `kept_at` the time of the first."""

    id: UUID
    kept_at: datetime
    letter: DeadLetter
    times: int = 1


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters are meant; None is any. `start` and `end` bound the time of keeping, both included."""

    source: str | None = None
    reason: str | None = None
    start: datetime | None = None
    end: datetime | None = None


ANY: Final = DeadLetterFilter()


class DeadLetters(Protocol):
    """For looking through dead letters and taking them away. Store.record puts them there.

    Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        """Newest first; with `before`, those that were kept before that one."""

    async def count(self, filter: DeadLetterFilter) -> int: ...

    async def get(self, id: UUID) -> KeptDeadLetter | None: ...

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        """Those of them that are there, by id, in one round trip."""

    async def drop(self, letters: Sequence[KeptDeadLetter]) -> int:
        """Drops those that are still as given: one whose event has come again meanwhile (`times` differs) stays.
        Returns how many were dropped."""
