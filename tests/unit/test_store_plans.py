"""Storing the plans of a batch: it is halved if refused or too slow, and no event blocks the others forever."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import pytest

from application.ingest.store_plans import Part, StoragePolicy, StorePlans
from application.ports.store import Recorded, StoreTimedOut, StoreUnavailable, Unstorable
from domain.planning import plan
from domain.plans import Plan
from tests.support.core import FaultyStore, HandClock, message, table

POLICY = StoragePolicy(rows=10, bytes=1_000_000, timeouts=5, timeout_period_s=300)


class FussyStore(FaultyStore):
    """A store that refuses, or times out on, batches with certain events."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()
        self.slow: set[str] = set()
        self.most = 1_000
        self.most_rows = 1_000
        self.batches: list[list[str]] = []
        self.rows: list[int] = []

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        ids = [one.event_id for one in plans]
        self.batches.append(ids)
        self.rows.append(sum(len(part.users) for one in plans for part in one.addressed))
        letters = {one.event_id for one in plans if one.dead_letter is not None}
        if bad := (self.refused & set(ids)) - letters:
            raise Unstorable(f"no room for {bad.pop()}")
        if (self.slow & set(ids)) - letters or len(ids) > self.most or self.rows[-1] > self.most_rows:
            raise StoreTimedOut("30 s are over")
        return await super().record(plans, now)


class Rig:
    def __init__(self) -> None:
        self.store, self.clock = FussyStore(), HandClock()
        self.store_plans = StorePlans(self.store, self.clock, POLICY)
        self.recorded: list[Recorded] = []
        self.events: list[str] = []
        self.away_after_each = 0

    def parts(self, *ids: str) -> deque[Part]:
        return self.store_plans.parts([plan(message("direct", {"to": "ada"}, id), table()) for id in ids])

    def fan_out(self, *users: int) -> deque[Part]:
        """Return the parts of one event for each number of users."""
        events = [message("direct", {"to": list(range(most))}, f"f{n}") for n, most in enumerate(users)]
        return self.store_plans.parts([plan(one, table()) for one in events])

    async def store_all(self, parts: deque[Part]) -> None:
        async for stored in self.store_plans(parts):
            self.recorded.append(stored.recorded)
            self.events += [one.event_id for one in stored.events]
            self.store.away = self.away_after_each

    async def fail(self, parts: deque[Part], times: int = 1, seconds: float = 100) -> None:
        """Fail to store that many times, with that many seconds in between."""
        for _ in range(times):
            with pytest.raises(StoreTimedOut):
                await self.store_all(parts)
            self.clock.turn(seconds)

    async def inbox(self) -> list[str]:
        page = await self.store.arrivals("inbox:ada", 0, 1_000)
        return [entry.content.event_id for entry in page.entries]

    @property
    def letters(self) -> list[tuple[str, str]]:
        return [(one.event_id, one.reason) for recorded in self.recorded for one in recorded.dead_letters]


@pytest.fixture
def rig() -> Rig:
    return Rig()


IDS = [f"e{number}" for number in range(10)]


async def test_a_batch_is_stored_in_one_transaction(rig: Rig) -> None:
    await rig.store_all(rig.parts(*IDS))
    assert rig.store.batches == [IDS]


async def test_refused_events_are_found_by_bisection_and_become_dead_letters_immediately(rig: Rig) -> None:
    rig.store.refused = {"e3", "e9"}
    await rig.store_all(rig.parts(*IDS))
    assert await rig.inbox() == [id for id in IDS if id not in ("e3", "e9")]
    assert rig.letters == [("e3", "refused_by_store"), ("e9", "refused_by_store")]
    assert [one.detail for one in rig.recorded[2].dead_letters] == ["no room for e3"]


async def test_a_refused_dead_letter_raises_instead_of_being_replaced(rig: Rig) -> None:
    parts = rig.parts("a")

    async def refuse(plans: Sequence[Plan], now: datetime) -> Recorded:
        raise Unstorable("nothing at all")

    rig.store.record = refuse
    with pytest.raises(Unstorable):
        await rig.store_all(parts)


async def test_a_batch_that_times_out_is_halved_until_it_succeeds(rig: Rig) -> None:
    rig.store.most = 3
    await rig.store_all(rig.parts(*IDS))
    assert await rig.inbox() == IDS
    assert rig.letters == []


async def test_after_a_failure_it_continues_with_what_is_not_stored_yet(rig: Rig) -> None:
    rig.store.refused = {"e7"}
    rig.away_after_each = 1
    parts = rig.parts(*IDS)
    failures = 0
    while parts:
        try:
            await rig.store_all(parts)
        except StoreUnavailable:
            failures += 1
    assert failures > 2
    rig.store.away = 0
    assert await rig.inbox() == [id for id in IDS if id != "e7"]
    assert sum(recorded.duplicates for recorded in rig.recorded) == 0
    assert rig.letters == [("e7", "refused_by_store")]


async def test_an_event_that_times_out_while_others_are_stored_becomes_a_dead_letter(rig: Rig) -> None:
    rig.store.slow = {"slow"}
    parts = rig.parts("slow")
    for number in range(4):
        await rig.fail(parts)
        await rig.store_all(rig.parts(f"other{number}"))  # as from another source
    await rig.store_all(parts)
    assert rig.letters == [("slow", "store_timeout")]
    assert not parts


@pytest.mark.parametrize(("times", "seconds"), [(4, 1_000), (50, 6)])
async def test_an_event_is_given_up_only_after_enough_attempts_and_time(rig: Rig, times: int, seconds: float) -> None:
    rig.store.slow = {"slow"}
    parts = rig.parts("slow")
    for number in range(times):
        await rig.fail(parts, seconds=seconds)
        await rig.store_all(rig.parts(f"other{number}"))
    rig.store.slow.clear()
    await rig.store_all(parts)
    assert rig.letters == []
    assert "slow" in await rig.inbox()


async def test_timeouts_while_nothing_else_is_stored_count_as_an_unavailable_store(rig: Rig) -> None:
    rig.store.slow = {"slow", "other"}
    parts, others = rig.parts("slow"), rig.parts("other")
    for _ in range(20):
        await rig.fail(parts)
        await rig.fail(others)
    rig.store.slow.clear()
    await rig.store_all(parts)
    await rig.store_all(others)
    assert (rig.letters, await rig.inbox()) == ([], ["slow", "other"])


async def test_events_stored_earlier_do_not_show_that_the_store_works_now(rig: Rig) -> None:
    rig.store.slow = {"slow"}
    parts = rig.parts("slow")
    await rig.fail(parts)
    await rig.store_all(rig.parts("early"))
    await rig.fail(parts, times=20)
    assert rig.letters == []


async def test_the_rest_of_the_batch_is_stored_before_an_event_is_given_up(rig: Rig) -> None:
    """So giving up on an event does not depend on the traffic of other sources."""
    rig.store.slow = {"e3"}
    parts = rig.parts(*IDS)
    await rig.fail(parts, times=5)
    # In order, as long as the event may still be stored.
    assert await rig.inbox() == IDS[:3]
    await rig.store_all(parts)
    assert await rig.inbox() == [id for id in IDS if id != "e3"]
    assert rig.letters == [("e3", "store_timeout")]


async def test_any_other_error_is_raised_to_the_caller(rig: Rig) -> None:
    parts = rig.parts("a", "b")
    rig.store.away = 1
    with pytest.raises(StoreUnavailable):
        await rig.store_all(parts)
    await rig.store_all(parts)
    assert rig.store.batches == [["a", "b"], ["a", "b"]]


# --- fan-out --------------------------------------------------------------------------------------------------


async def test_a_large_fan_out_is_stored_in_parts_event_by_event(rig: Rig) -> None:
    await rig.store_all(rig.fan_out(3, 25, 4, 5, 2, 11))
    assert rig.store.batches == [["f0"], ["f1"], ["f1"], ["f1"], ["f2", "f3"], ["f4"], ["f5"], ["f5"]]
    assert rig.store.rows == [3, 10, 10, 5, 9, 2, 10, 1]
    assert [len(recorded.entries) for recorded in rig.recorded] == rig.store.rows


async def test_parts_are_limited_by_bytes_too(rig: Rig) -> None:
    text = "x" * 100_000
    events = [message("direct", {"to": list(range(7)), "text": text}, "a"), message("direct", {"to": 1}, "b")]
    await rig.store_all(rig.store_plans.parts([plan(one, table()) for one in events]))
    assert rig.store.rows == [4, 3, 1]


async def test_a_divided_event_counts_as_one_duplicate_if_all_of_it_was_stored(rig: Rig) -> None:
    await rig.store_all(rig.fan_out(12))
    rig.recorded.clear()
    await rig.store_all(rig.fan_out(12))
    assert [recorded.duplicates for recorded in rig.recorded] == [0, 1]
    rig.recorded.clear()
    await rig.store_all(rig.fan_out(25))
    assert [recorded.duplicates for recorded in rig.recorded] == [0, 0, 0]
    assert sum(len(recorded.entries) for recorded in rig.recorded) == 13


async def test_each_event_is_reported_once_with_its_last_part(rig: Rig) -> None:
    await rig.store_all(rig.fan_out(3, 25, 4))
    assert rig.events == ["f0", "f1", "f2"]
    rig.store.refused = {"e3"}
    rig.events.clear()
    await rig.store_all(rig.parts(*IDS))
    assert rig.events == IDS


async def test_the_dead_letter_of_a_divided_event_is_reported_with_its_last_part(rig: Rig) -> None:
    made = plan(message("direct", {"to": [*range(25), "\0"]}, "bad"), table())
    assert made.dead_letter is not None
    async for part in rig.store_plans(rig.store_plans.parts([made])):
        assert all(one.dead_letter is not None for one in part.events)
        rig.events += [one.event_id for one in part.events]
    assert rig.events == ["bad"]


async def test_an_interrupted_fan_out_continues_where_it_stopped(rig: Rig) -> None:
    rig.away_after_each = 1
    parts = rig.fan_out(25, 1)
    while parts:
        with suppress(StoreUnavailable):
            await rig.store_all(parts)
    assert [recorded.duplicates for recorded in rig.recorded] == [0, 0, 0, 0]
    assert sum(len(recorded.entries) for recorded in rig.recorded) == 26


async def test_a_fan_out_repeated_after_a_crash_is_completed(rig: Rig) -> None:
    rig.away_after_each = 1
    with pytest.raises(StoreUnavailable):
        await rig.store_all(rig.fan_out(25))
    rig.away_after_each = rig.store.away = 0
    again = StorePlans(rig.store, rig.clock, POLICY)
    parts = again.parts([plan(message("direct", {"to": list(range(25))}, "f0"), table())])
    recorded = [one.recorded async for one in again(parts)]
    assert sum(len(one.entries) for one in recorded) == 15
    assert sum(one.duplicates for one in recorded) == 0
    for user in range(25):
        assert (await rig.store.heads([f"inbox:{user}"]))[f"inbox:{user}"].last == 1


async def test_a_part_that_times_out_is_divided_by_its_recipients(rig: Rig) -> None:
    rig.store.most_rows = 3
    await rig.store_all(rig.fan_out(25))
    assert sum(len(recorded.entries) for recorded in rig.recorded) == 25
    assert [recorded.duplicates for recorded in rig.recorded][-1] == 0
    rig.recorded.clear()
    await rig.store_all(rig.fan_out(25))
    assert sum(recorded.duplicates for recorded in rig.recorded) == 1


async def test_a_refused_fan_out_is_one_dead_letter(rig: Rig) -> None:
    rig.store.refused = {"f0"}
    parts = rig.fan_out(25, 2)
    await rig.store_all(parts)
    assert rig.letters == [("f0", "refused_by_store")]
    assert [recorded.duplicates for recorded in rig.recorded] == [0, 0]
    assert sum(len(recorded.entries) for recorded in rig.recorded) == 2
