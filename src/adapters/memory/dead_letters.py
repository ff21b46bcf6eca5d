"""Lists and deletes the dead letters in memory, for administrators."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from uuid import UUID

from adapters.memory.shared_records import MemoryRecords
from application.ports.dead_letters import ANY, DeadLetterFilter, KeptDeadLetter


class MemoryDeadLetters:
    """Implements the port DeadLetters on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        # Ids ascend in the order of storing, so `before` works even if that dead letter has been deleted since.
        chosen = (kept for kept in self._matching(filter) if before is None or kept.id < before)
        return tuple(islice(chosen, limit))

    async def count(self, filter: DeadLetterFilter) -> int:
        return sum(1 for _ in self._matching(filter))

    async def get(self, id: UUID) -> KeptDeadLetter | None:
        return self._records.letters.get(id)

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        letters = self._records.letters
        return {id: letters[id] for id in ids if id in letters}

    async def drop(self, letters: Sequence[KeptDeadLetter]) -> int:
        dropped = 0
        for given in letters:
            kept = self._records.letters.get(given.id)
            if kept is not None and kept.times == given.times:
                self._records.drop_letter(kept.id)
                dropped += 1
        return dropped

    def _matching(self, filter: DeadLetterFilter) -> Iterator[KeptDeadLetter]:
        """Yields the dead letters that match the filter, newest first."""
        return (kept for kept in reversed(self._records.letters.values()) if _matches(kept, filter))


def _matches(kept: KeptDeadLetter, filter: DeadLetterFilter) -> bool:
    return (
        (filter.source is None or filter.source == kept.letter.message.source)
        and (filter.reason is None or filter.reason == kept.letter.reason)
        and (filter.start is None or filter.start <= kept.kept_at)
        and (filter.end is None or kept.kept_at <= filter.end)
    )
