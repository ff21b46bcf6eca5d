"""Dead letters: replayed through ingest, dropped if the replay succeeded, kept if it did not."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from adapters.clock import Uuid7Factory
from adapters.memory.backplane import MemoryBackplane
from adapters.memory.broker import MemoryBroker
from adapters.memory.dead_letters import MemoryDeadLetters
from adapters.memory.shared_records import MemoryRecords
from adapters.memory.store import MemoryStore
from application.counters import Counters
from application.ingest.handle_dead_letters import HandleDeadLetters, HandlingPolicy
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.dead_letters import ANY, DeadLetterFilter, KeptDeadLetter
from application.routes_in_force import RoutesInForce
from domain.broker_messages import Message
from domain.caller_errors import NotFound, Unavailable
from domain.planning import plan
from domain.route_table import RouteTable
from tests.support.core import NOW, ROUTES, HandClock, message, table

MENDED = ROUTES + '[[routes]]\nsource = "lost"\nusers = ["to"]\nenvelope = "typed"\n'


class Rig:
    """Dead letters in memory, and an ingest whose routes can be replaced."""

    def __init__(self) -> None:
        records = MemoryRecords(Uuid7Factory())
        self.clock = HandClock()
        self.store = MemoryStore(records)
        self.letters = MemoryDeadLetters(records)
        self.broker = MemoryBroker()
        self.set_policy(HandlingPolicy())
        self.consumer: ConsumeEvents | None = None

    def set_policy(self, policy: HandlingPolicy) -> None:
        self.handle = HandleDeadLetters(self.letters, self.broker, policy)

    async def run(self, routes: RouteTable) -> None:
        store_plans = StorePlans(self.store, self.clock, StoragePolicy())
        note_duplicates = NoteDuplicates(self.clock, Counters())
        ingest = IngestEvents(RoutesInForce(routes), store_plans, MemoryBackplane(), Counters(), note_duplicates)
        self.consumer = ConsumeEvents(ingest, self.broker, RetryPolicy())
        await self.consumer.start()

    async def lose(self, *messages: Message) -> list[KeptDeadLetter]:
        """Store the messages with routes that do not know them, as dead letters. Returns them, newest last."""
        await self.store.record([plan(one, table()) for one in messages], self.clock.now())
        return list(reversed(await self.letters.newest(1000)))

    async def inbox(self, user: str) -> list[str]:
        return [one.content.event_id for one in (await self.store.arrivals(f"inbox:{user}", 0, 1000)).entries]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    if rig.consumer is not None:
        await rig.consumer.stop(1)


def lost(number: int, to: object = "ada") -> Message:
    return message("lost", {"to": to}, f"l-{number}")


async def test_a_dead_letter_is_dropped_after_a_successful_replay(rig: Rig) -> None:
    (kept,) = await rig.lose(lost(1))
    await rig.run(table(MENDED))
    outcome = await rig.handle.replay(kept.id)
    assert (outcome.replayed, outcome.failed) == ((kept.id,), ())
    assert await rig.inbox("ada") == ["l-1"]
    assert await rig.letters.count(ANY) == 0


async def test_a_dead_letter_that_fails_again_is_kept_with_the_new_reason(rig: Rig) -> None:
    (kept,) = await rig.lose(lost(1, to=None))
    assert kept.letter.reason == "no_route"
    await rig.run(table(MENDED))
    outcome = await rig.handle.replay(kept.id)
    assert outcome.replayed == ()
    assert [(one.id, one.reason) for one in outcome.failed] == [(kept.id, "no_recipient")]
    now = await rig.handle.get(kept.id)
    assert (now.times, now.letter.reason, now.letter.message) == (2, "no_recipient", kept.letter.message)


async def test_replays_store_no_duplicate_notifications(rig: Rig) -> None:
    half = 'profile = "trading"\n' + "".join(
        f'[[routes]]\nsource = "half"\nusers = ["{field}"]\nenvelope = "typed"\n' for field in ("to", "cc")
    )
    event = message("half", {"to": "ada"}, "h-1")
    await rig.store.record([plan(event, table(half))], NOW)
    (kept,) = await rig.letters.newest(10)
    assert await rig.inbox("ada") == ["h-1"]
    await rig.run(table(half))
    for _ in range(3):
        assert len((await rig.handle.replay(kept.id)).failed) == 1
    assert await rig.inbox("ada") == ["h-1"]


async def test_replay_by_filter_continues_after_failures(rig: Rig) -> None:
    rig.set_policy(HandlingPolicy(batch=3))
    kept = await rig.lose(*(lost(number, to=None if number % 2 else "ada") for number in range(10)))
    (other,) = [
        one for one in await rig.lose(message("elsewhere", {}, "e-1")) if one.letter.message.source == "elsewhere"
    ]
    await rig.run(table(MENDED))
    outcome = await rig.handle.replay_chosen(DeadLetterFilter(source="lost"))
    assert set(outcome.replayed) == {one.id for one in kept[::2]}
    assert {one.id for one in outcome.failed} == {one.id for one in kept[1::2]}
    assert outcome.rest is None
    assert (await rig.handle.get(other.id)).times == 1


async def test_dead_letters_replayed_together_keep_their_order(rig: Rig) -> None:
    await rig.lose(*(lost(number) for number in range(5)))
    await rig.run(table(MENDED))
    await rig.handle.replay_chosen()
    assert await rig.inbox("ada") == [f"l-{number}" for number in range(5)]


async def test_one_call_processes_a_limited_number(rig: Rig) -> None:
    rig.set_policy(HandlingPolicy(batch=2, max_per_call=4))
    kept = await rig.lose(*(lost(number) for number in range(6)))
    await rig.run(table(MENDED))
    first = await rig.handle.replay_chosen()
    assert first.replayed == tuple(one.id for one in reversed(kept[2:]))
    second = await rig.handle.replay_chosen(ANY, first.rest)
    assert set(second.replayed) == {one.id for one in kept[:2]}
    assert second.rest is None
    assert len(await rig.inbox("ada")) == 6


async def test_nothing_is_dropped_while_ingest_is_unavailable(rig: Rig) -> None:
    rig.set_policy(HandlingPolicy(timeout_s=0.01))
    (kept,) = await rig.lose(lost(1))
    with pytest.raises(Unavailable):
        await rig.handle.replay(kept.id)
    assert await rig.handle.get(kept.id) == kept


async def test_a_dead_letter_whose_event_fails_again_during_the_replay_is_kept(rig: Rig) -> None:
    (kept,) = await rig.lose(lost(1))

    class Meanwhile:
        """A publisher; while it works, the event fails again on another node."""

        async def publish(self, messages: Sequence[Message]) -> None:
            await rig.lose(*messages)

    outcome = await HandleDeadLetters(rig.letters, Meanwhile()).replay(kept.id)
    assert [one.id for one in outcome.failed] == [kept.id]
    assert (await rig.handle.get(kept.id)).times == 2


async def test_concurrent_replays_store_one_notification(rig: Rig) -> None:
    (kept,) = await rig.lose(lost(1))
    await rig.run(table(MENDED))
    await asyncio.gather(rig.handle.replay(kept.id), rig.handle.replay(kept.id))
    assert await rig.inbox("ada") == ["l-1"]
    assert await rig.letters.count(ANY) == 0


async def test_an_unknown_dead_letter_is_not_found(rig: Rig) -> None:
    for act in (rig.handle.get, rig.handle.replay):
        with pytest.raises(NotFound):
            await act(uuid4())
    assert (await rig.handle.drop(UUID(int=0))).dropped == 0


async def test_drop_one_and_by_filter(rig: Rig) -> None:
    rig.set_policy(HandlingPolicy(batch=2, max_per_call=4))
    first, *_ = await rig.lose(*(lost(number) for number in range(6)))
    rig.clock.turn(60)
    await rig.lose(lost(6))
    assert (await rig.handle.drop(first.id)).dropped == 1
    late = DeadLetterFilter(start=NOW + timedelta(seconds=1))
    assert (await rig.handle.drop_chosen(late)).dropped == 1
    some = await rig.handle.drop_chosen(ANY)
    assert some.dropped == 4
    assert (await rig.handle.drop_chosen(ANY, some.rest)).dropped == 1
    assert await rig.letters.count(ANY) == 0


async def test_a_replay_reads_dead_letters_in_batches(rig: Rig) -> None:
    await rig.lose(*(lost(number) for number in range(250)))
    calls: list[str] = []

    class Counting(MemoryDeadLetters):
        async def get(self, id: UUID) -> KeptDeadLetter | None:
            calls.append("get")
            return await super().get(id)

        async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
            calls.append("some")
            return await super().some(ids)

    await rig.run(table(MENDED))
    outcome = await HandleDeadLetters(Counting(rig.letters._records), rig.broker).replay_chosen(ANY)
    assert len(outcome.replayed) == 250
    assert calls == ["some"] * 3
