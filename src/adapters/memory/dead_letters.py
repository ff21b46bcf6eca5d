"""Dead letters in memory."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from uuid import UUID

from adapters.memory.records import MemoryRecords
from application.ports.dead_letters import ANY, KeptDeadLetter, LetterChoice


class MemoryDeadLetters:
    """Implements DeadLetters."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def newest(
        self, limit: int, choice: LetterChoice = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        # Ids ascend in the order of keeping, so a letter that has gone since still tells the place.
        chosen = (kept for kept in self._chosen(choice) if before is None or kept.id < before)
        return tuple(islice(chosen, limit))

    async def count(self, choice: LetterChoice) -> int:
        return sum(1 for _ in self._chosen(choice))

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

    def _chosen(self, choice: LetterChoice) -> Iterator[KeptDeadLetter]:
        """Newest first."""
        return (kept for kept in reversed(self._records.letters.values()) if _is_chosen(kept, choice))


def _is_chosen(kept: KeptDeadLetter, choice: LetterChoice) -> bool:
    return (
        (choice.source is None or choice.source == kept.letter.message.source)
        and (choice.reason is None or choice.reason == kept.letter.reason)
        and (choice.start is None or choice.start <= kept.kept_at)
        and (choice.end is None or kept.kept_at <= choice.end)
    )
