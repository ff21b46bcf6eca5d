"""Lists, replays and drops dead letters: events that could not be processed."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from application.ports.dead_letters import ANY, DeadLetterFilter, DeadLetters, KeptDeadLetter
from application.ports.event_publisher import EventPublisher
from domain.caller_errors import NotFound, Unavailable

# The API documentation states this limit.
MAX_PER_CALL: Final = 1_000


class HandlingPolicy(msgspec.Struct, frozen=True):
    """Limits of HandleDeadLetters. One call replays or drops at most `max_per_call` dead letters, so that it ends
    before clients time out; the call does so in batches of `batch`. `timeout_s` is the maximum time, in seconds, in
    which ingest must store the events of one replayed batch."""

    batch: int = 100
    max_per_call: int = MAX_PER_CALL
    timeout_s: float = 20.0


DEFAULT: Final = HandlingPolicy()


class FailedAgain(msgspec.Struct, frozen=True):
    """A dead letter whose event was replayed and failed again. The dead letter stays stored, with the new `reason` and
    `detail`."""

    id: UUID
    reason: str
    detail: str


class Replay(msgspec.Struct, frozen=True):
    """The result of replaying dead letters: the ids of those that were processed and dropped, and those that failed
    again. If the limit of one call was reached, `rest` is the value of `before` for the next call; otherwise None."""

    replayed: tuple[UUID, ...]
    failed: tuple[FailedAgain, ...]
    rest: UUID | None = None


class Drop(msgspec.Struct, frozen=True):
    """The result of dropping dead letters: their number. If the limit of one call was reached, `rest` is the value of
    `before` for the next call; otherwise None."""

    dropped: int
    rest: UUID | None = None


class HandleDeadLetters:
    """Lists, replays and drops dead letters (events that could not be processed), for the REST API.

    A replay sends the original message through ingest again, for example after a corrected route was deployed. If the
    event is processed this time, its dead letter is dropped; if it fails again, the dead letter stays. A replay never
    notifies a user twice, because an inbox stores each event at most once.

    Raises NotFound for the id of a dead letter that does not exist. Raises Unavailable if the events are not stored
    within the policy's `timeout_s`: no dead letter of this batch is dropped, and the replay may be repeated. Raises
    StoreUnavailable.
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
        """Drops the dead letter with this id; a no-op if it does not exist."""
        kept = await self._letters.get(id)
        return Drop(await self._letters.drop([kept]) if kept is not None else 0)

    async def drop_chosen(self, filter: DeadLetterFilter, before: UUID | None = None) -> Drop:
        """Drops the dead letters that match `filter`, newest first, at most the policy's `max_per_call`. With `before`,
        only those stored before the dead letter with that id."""
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
        """Replays the dead letters that match `filter`, in batches from the newest to the oldest, at most the policy's
        `max_per_call`. Within a batch, the oldest is replayed first. With `before`, only those stored before the dead
        letter with that id are replayed. Each is replayed once; those that fail again stay stored."""
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
