"""Handling dead letters: looked through, replayed, dropped."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from application.ports.dead_letters import ANY, DeadLetterFilter, DeadLetters, KeptDeadLetter
from application.ports.event_publisher import EventPublisher
from domain.errors import NotFound, Unavailable

# Letters that are replayed, or dropped, in one go; and how many one call handles at most, so that it is answered within
# a client's patience.
BATCH: Final = 100
MOST: Final = 1_000

# Seconds that a batch may take to be stored.
PATIENCE: Final = 20.0


class FailedAgain(msgspec.Struct, frozen=True):
    """A letter whose event could not be processed this time either, and why. It stays."""

    id: UUID
    reason: str
    detail: str


class Replay(msgspec.Struct, frozen=True):
    """What became of some letters. `rest` is where to go on (`before`), None if no more are chosen."""

    replayed: tuple[UUID, ...]
    failed: tuple[FailedAgain, ...]
    rest: UUID | None = None


class Drop(msgspec.Struct, frozen=True):
    """How many letters were dropped. `rest` is where to go on (`before`), None if no more are chosen."""

    dropped: int
    rest: UUID | None = None


class HandleDeadLetters:
    """Looks through dead letters and takes them away.

    A replay hands the letter's message, as it came, to ingest again, and drops the letter once that has made something
    of it. The message names the same event, and an inbox holds each event once: who was notified is not notified again,
    however often it is replayed. A letter whose event comes again meanwhile stays. Raises NotFound for a letter that is
    not there, Unavailable if ingest takes too long (nothing is dropped then; replay again), StoreUnavailable.
    """

    def __init__(self, letters: DeadLetters, publisher: EventPublisher) -> None:
        self._letters = letters
        self._publisher = publisher

    async def newest(self, limit: int, filter: DeadLetterFilter, before: UUID | None) -> Sequence[KeptDeadLetter]:
        return await self._letters.newest(limit, filter, before)

    async def count(self, filter: DeadLetterFilter) -> int:
        return await self._letters.count(filter)

    async def get(self, id: UUID) -> KeptDeadLetter:
        kept = await self._letters.get(id)
        if kept is None:
            raise NotFound("There is no such dead letter.")
        return kept

    async def drop(self, id: UUID) -> Drop:
        """One letter; one that is not there is dropped already."""
        kept = await self._letters.get(id)
        return Drop(await self._letters.drop([kept]) if kept is not None else 0)

    async def drop_chosen(self, filter: DeadLetterFilter, before: UUID | None = None) -> Drop:
        """The newest ones of those that are chosen, MOST at most."""
        dropped = 0
        for _ in range(MOST // BATCH):
            batch = await self._letters.newest(BATCH, filter, before)
            dropped += await self._letters.drop(batch)
            if len(batch) < BATCH:
                return Drop(dropped)
            before = batch[-1].id
        return Drop(dropped, before)

    async def replay(self, id: UUID) -> Replay:
        return await self._replay([await self.get(id)])

    async def replay_chosen(self, filter: DeadLetterFilter = ANY, before: UUID | None = None) -> Replay:
        """The newest ones of those that are chosen, MOST at most. Each is tried once: what fails again is passed
        over. BATCH of them at a time come in the order in which they were kept."""
        replayed: list[UUID] = []
        failed: list[FailedAgain] = []
        for _ in range(MOST // BATCH):
            batch = await self._letters.newest(BATCH, filter, before)
            outcome = await self._replay(batch)
            replayed.extend(outcome.replayed)
            failed.extend(outcome.failed)
            if len(batch) < BATCH:
                return Replay(tuple(replayed), tuple(failed))
            before = batch[-1].id
        return Replay(tuple(replayed), tuple(failed), before)

    async def _replay(self, batch: Sequence[KeptDeadLetter]) -> Replay:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._publisher.publish([kept.letter.message for kept in reversed(batch)])
        except TimeoutError:
            raise Unavailable("The events are not stored yet. No letter is lost: replay again.") from None
        failed: list[FailedAgain] = []
        done: list[KeptDeadLetter] = []
        latest = await self._letters.some([kept.id for kept in batch])
        for kept in batch:
            now = latest.get(kept.id)
            if now is not None and now.times != kept.times:
                failed.append(FailedAgain(now.id, now.letter.reason, now.letter.detail))
            else:
                done.append(kept)
        await self._letters.drop(done)
        return Replay(tuple(kept.id for kept in done), tuple(failed))
