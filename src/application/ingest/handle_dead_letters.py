"""Handling dead letters: listing, replaying and dropping them."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from application.ports.dead_letters import ANY, DeadLetterFilter, DeadLetters, KeptDeadLetter
from application.ports.event_publisher import EventPublisher
from domain.errors import NotFound, Unavailable

# The API documentation states this limit.
MAX_PER_CALL: Final = 1_000


class HandlingPolicy(msgspec.Struct, frozen=True):
    """`batch`: the number of dead letters that are replayed or dropped together. `max_per_call`: the maximum number in
    one call, so that a call does not exceed the timeouts of clients. `timeout_s`: the maximum number of seconds for
    storing a replayed batch."""

    batch: int = 100
    max_per_call: int = MAX_PER_CALL
    timeout_s: float = 20.0


DEFAULT: Final = HandlingPolicy()


class FailedAgain(msgspec.Struct, frozen=True):
    """A replayed dead letter whose event failed again, with the new reason. It stays stored."""

    id: UUID
    reason: str
    detail: str


class Replay(msgspec.Struct, frozen=True):
    """The result of a replay. `rest` is the cursor (`before`) for the next call; None if no more dead letters are
    selected."""

    replayed: tuple[UUID, ...]
    failed: tuple[FailedAgain, ...]
    rest: UUID | None = None


class Drop(msgspec.Struct, frozen=True):
    """The number of dropped dead letters. `rest` is the cursor (`before`) for the next call; None if no more are
    selected."""

    dropped: int
    rest: UUID | None = None


class HandleDeadLetters:
    """Lists, replays and drops dead letters.

    A replay passes the original message to ingest again, and drops the dead letter once the event was processed. Users
    who were notified before are not notified again, however often an event is replayed: the message identifies the same
    event, and an inbox stores each event once. A dead letter whose event arrives again in the meantime stays. Raises
    NotFound for a dead letter that does not exist. Raises Unavailable if ingest exceeds the policy's timeout; no dead
    letter is dropped then, and the replay can be repeated. Raises StoreUnavailable.
    """

    def __init__(self, letters: DeadLetters, publisher: EventPublisher, policy: HandlingPolicy = DEFAULT) -> None:
        self._letters = letters
        self._publisher = publisher
        self._policy = policy

    async def newest(self, limit: int, filter: DeadLetterFilter, before: UUID | None) -> Sequence[KeptDeadLetter]:
        return await self._letters.newest(limit, filter, before)

    async def count(self, filter: DeadLetterFilter) -> int:
        return await self._letters.count(filter)

    async def get(self, id: UUID) -> KeptDeadLetter:
        kept = await self._letters.get(id)
        if kept is None:
            raise NotFound("This dead letter does not exist.")
        return kept

    async def drop(self, id: UUID) -> Drop:
        """Drops one dead letter; a no-op if it does not exist."""
        kept = await self._letters.get(id)
        return Drop(await self._letters.drop([kept]) if kept is not None else 0)

    async def drop_chosen(self, filter: DeadLetterFilter, before: UUID | None = None) -> Drop:
        """Drops the newest of the selected dead letters, at most `max_per_call`."""
        dropped, size = 0, self._policy.batch
        for _ in range(self._policy.max_per_call // size):
            batch = await self._letters.newest(size, filter, before)
            dropped += await self._letters.drop(batch)
            if len(batch) < size:
                return Drop(dropped)
            before = batch[-1].id
        return Drop(dropped, before)

    async def replay(self, id: UUID) -> Replay:
        return await self._replay([await self.get(id)])

    async def replay_chosen(self, filter: DeadLetterFilter = ANY, before: UUID | None = None) -> Replay:
        """Replays the newest of the selected dead letters, at most `max_per_call`. Each is tried once, and those that
        fail again stay stored. Within a batch, they are replayed in the order in which they were stored."""
        replayed: list[UUID] = []
        failed: list[FailedAgain] = []
        size = self._policy.batch
        for _ in range(self._policy.max_per_call // size):
            batch = await self._letters.newest(size, filter, before)
            outcome = await self._replay(batch)
            replayed.extend(outcome.replayed)
            failed.extend(outcome.failed)
            if len(batch) < size:
                return Replay(tuple(replayed), tuple(failed))
            before = batch[-1].id
        return Replay(tuple(replayed), tuple(failed), before)

    async def _replay(self, batch: Sequence[KeptDeadLetter]) -> Replay:
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                await self._publisher.publish([kept.letter.message for kept in reversed(batch)])
        except TimeoutError:
            raise Unavailable("The events were not stored in time. No dead letter was dropped: replay again.") from None
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
