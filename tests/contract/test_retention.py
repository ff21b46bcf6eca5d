"""The Retention port, on every adapter."""

import asyncio
import random
from datetime import timedelta

import pytest

from application.ports.dead_letters import DeadLetterFilter
from application.ports.retention import Keep, Keeping, Pruned
from domain.notifications import NotificationFilter
from domain.positions import Head
from tests.support.core import NOW
from tests.support.stores import Sent, Stores, check_counters, direct, fill, kept, later, record, whole

ALL = Keep(timedelta(days=365), 1_000_000)


def keeping(*, inbox: Keep = ALL, feed: Keep = ALL, dead_letters: Keep = ALL, deliveries: Keep = ALL) -> Keeping:
    return Keeping(inbox, feed, dead_letters, deliveries)


def newer_than(seconds: float) -> Keep:
    return Keep(timedelta(seconds=seconds), 1_000_000)


def at_most(count: int) -> Keep:
    return Keep(timedelta(days=365), count)


async def prune_all(stores: Stores, keep: Keeping, seconds: float = 100, limit: int = 500) -> list[Pruned]:
    """Prune step by step until nothing is due."""
    steps = []
    for _ in range(100):
        steps.append(await stores.retention.prune(keep, later(seconds), limit))
        if steps[-1].nothing:
            return steps
    raise AssertionError("it never ends")


async def head(stores: Stores, stream: str = "inbox:ada") -> Head:
    return (await stores.store.heads([stream]))[stream]


def lost(id: str) -> Sent:
    return "nowhere", {}, id


def news(id: str) -> Sent:
    return "both.x", {}, id


# --- what is pruned -------------------------------------------------------------------------------------------


async def test_nothing_is_pruned_when_nothing_is_due(stores: Stores) -> None:
    assert (await stores.retention.prune(keeping(), NOW)).nothing
    await record(stores.store, direct("a", "ada"), news("n"), lost("x"))
    assert await stores.retention.prune(keeping(), later(100)) == Pruned(0, 0, 0)
    assert (await head(stores), await head(stores, "feed:news")) == (Head(1, 0, unread=1), Head(1, 0))
    assert await stores.dead_letters.count(DeadLetterFilter()) == 1


async def test_an_inbox_is_pruned_by_age(stores: Stores) -> None:
    await fill(stores.store, 6)
    pruned = await stores.retention.prune(keeping(inbox=newer_than(96.5)), later(100))
    assert pruned == Pruned(notifications=3)
    assert await whole(stores.store, "inbox:ada") == [(4, "e4"), (5, "e5"), (6, "e6")]
    assert await head(stores) == Head(6, 3, unread=3)
    assert (await stores.retention.prune(keeping(inbox=newer_than(96.5)), later(100))).nothing
    await check_counters(stores)


async def test_inboxes_are_pruned_by_count_separately(stores: Stores) -> None:
    await fill(stores.store, 5)
    await fill(stores.store, 2, "bob")
    await fill(stores.store, 3, "eve")
    steps = await prune_all(stores, keeping(inbox=at_most(2)))
    assert sum(step.notifications for step in steps) == 4
    assert await head(stores) == Head(5, 3, unread=2)
    assert await head(stores, "inbox:bob") == Head(2, 0, unread=2)
    assert await head(stores, "inbox:eve") == Head(3, 1, unread=2)
    for user in ("ada", "bob", "eve"):
        await check_counters(stores, user)


async def test_feeds_are_pruned_by_age_and_by_count(stores: Stores) -> None:
    for number in range(1, 7):
        await record(stores.store, news(f"n{number}"), ("rest", {}, f"r{number}"), at=later(number))
    steps = await prune_all(stores, keeping(feed=newer_than(97.5)))
    assert sum(step.broadcasts for step in steps) == 4
    assert await whole(stores.store, "feed:news") == [(3, "n3"), (4, "n4"), (5, "n5"), (6, "n6")]
    assert (await head(stores, "feed:news"), await head(stores, "feed:rest")) == (Head(6, 2), Head(6, 2))
    steps = await prune_all(stores, keeping(feed=at_most(1)))
    assert sum(step.broadcasts for step in steps) == 6
    assert (await head(stores, "feed:news"), await head(stores, "feed:rest")) == (Head(6, 5), Head(6, 5))


async def test_dead_letters_are_pruned_by_age_and_by_count(stores: Stores) -> None:
    for number in range(1, 7):
        await record(stores.store, lost(f"x{number}"), at=later(number))
    assert await stores.retention.prune(keeping(dead_letters=newer_than(97.5)), later(100)) == Pruned(dead_letters=2)
    assert await stores.retention.prune(keeping(dead_letters=at_most(3)), later(100)) == Pruned(dead_letters=1)
    assert [one.letter.event_id for one in await stores.dead_letters.newest(10)] == ["x6", "x5", "x4"]
    again = await record(stores.store, lost("x1"), lost("x6"), at=later(50))
    assert [one.event_id for one in again.dead_letters] == ["x1"]


async def test_the_stricter_of_age_and_count_applies(stores: Stores) -> None:
    await fill(stores.store, 6)
    await prune_all(stores, keeping(inbox=Keep(timedelta(seconds=97.5), 5)))
    assert [seq for seq, _ in await whole(stores.store, "inbox:ada")] == [3, 4, 5, 6]
    await prune_all(stores, keeping(inbox=Keep(timedelta(seconds=97.5), 1)))
    assert [seq for seq, _ in await whole(stores.store, "inbox:ada")] == [6]


async def test_each_kind_has_its_own_limits(stores: Stores) -> None:
    for number in range(3):
        await record(stores.store, direct(f"d{number}", "ada"), news(f"n{number}"), lost(f"x{number}"))
    steps = await prune_all(stores, keeping(inbox=at_most(2), feed=at_most(1), dead_letters=at_most(0)))
    assert steps[0] == Pruned(1, 2, 3)


# --- what remains ---------------------------------------------------------------------------------------------


async def test_pruned_entries_are_gone_from_every_query(stores: Stores) -> None:
    entries = await fill(stores.store, 4)
    await stores.inboxes.change("ada", entries[1].id, "read", later(10))  # 5
    await stores.inboxes.change("ada", entries[3].id, "archived", later(11))  # 6
    await prune_all(stores, keeping(inbox=newer_than(97.5)))
    for gone in entries[:2]:
        assert await stores.inboxes.get("ada", gone.id) is None
        assert await stores.inboxes.change("ada", gone.id, "read", later(20)) is None
    assert [one.seq for one in await kept(stores)] == [3, 4]
    assert await stores.inboxes.count("ada", NotificationFilter(archived=None)) == 2
    assert [one.seq for one in (await stores.store.arrivals("inbox:ada", 0, 10)).entries] == [3, 4]
    page = await stores.store.changes("inbox:ada", 0, 10)
    assert [(one.changed, one.seq) for one in page.entries] == [(3, 3), (6, 4)]
    assert (page.upto, page.head) == (6, Head(6, 2, unread=1))
    assert len((await stores.inboxes.change_all("ada", "archived", 6, 10, later(21))).entries) == 1
    await check_counters(stores)


async def test_the_unread_total_falls_by_the_pruned_unread_notifications(stores: Stores) -> None:
    entries = await fill(stores.store, 6)
    await stores.inboxes.change("ada", entries[0].id, "read", later(10))
    await stores.inboxes.change("ada", entries[1].id, "archived", later(10))
    await stores.inboxes.change("ada", entries[2].id, "read", later(10))
    await stores.inboxes.change("ada", entries[2].id, "unread", later(11))
    assert (await head(stores)).unread == 4
    for count, unread in ((5, 4), (4, 4), (3, 3), (2, 2), (0, 0)):
        await prune_all(stores, keeping(inbox=at_most(count)))
        assert (await head(stores)).unread == unread
        await check_counters(stores)


async def test_an_emptied_stream_continues_its_numbering(stores: Stores) -> None:
    entries = await fill(stores.store, 3)
    await stores.inboxes.change("ada", entries[0].id, "read", later(5))
    await record(stores.store, news("n1"), news("n2"))
    await prune_all(stores, keeping(inbox=at_most(0), feed=at_most(0)))
    assert (await head(stores), await head(stores, "feed:news")) == (Head(4, 3), Head(2, 2))
    for read in (stores.store.arrivals, stores.store.changes):
        page = await read("inbox:ada", 0, 10)
        assert (page.entries, page.upto, page.head) == ((), 4, Head(4, 3))
    recorded = await record(stores.store, direct("new", "ada"), news("new"))
    assert sorted((one.stream, one.seq, one.unread) for one in recorded.entries) == [
        ("feed:news", 3, 0),
        ("inbox:ada", 5, 1),
    ]


async def test_the_pruned_position_never_decreases(stores: Stores) -> None:
    await fill(stores.store, 5)
    await prune_all(stores, keeping(inbox=at_most(1)))
    await prune_all(stores, keeping(inbox=at_most(5)))
    assert await head(stores) == Head(5, 4, unread=1)


async def test_a_kept_event_is_a_duplicate_and_a_pruned_event_is_new(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 4)), *(news(f"n{n}") for n in range(1, 4)))
    await prune_all(stores, keeping(inbox=at_most(2), feed=at_most(2)))
    again = await record(
        stores.store, *(direct(f"e{n}", "ada") for n in range(1, 4)), *(news(f"n{n}") for n in range(1, 4))
    )
    assert sorted((one.stream, one.seq, one.content.event_id) for one in again.entries) == [
        ("feed:news", 4, "n1"),
        ("inbox:ada", 4, "e1"),
    ]
    assert again.duplicates == 4
    assert await head(stores) == Head(4, 1, unread=3)


async def test_sign_outs_are_kept_when_entries_are_pruned(stores: Stores) -> None:
    await record(stores.store, direct("a", "ada"), ("bye", {"user_id": "ada", "timestamp": NOW.isoformat()}, "b"))
    await prune_all(stores, keeping(inbox=at_most(0)))
    assert await head(stores) == Head(1, 1, NOW)


# --- steps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_no_step_exceeds_its_limit(stores: Stores, limit: int) -> None:
    events = [(direct(f"d{n}", "ada", "bob"), news(f"n{n}"), ("rest", {}, f"r{n}"), lost(f"x{n}")) for n in range(4)]
    await record(stores.store, *(event for some in events for event in some))
    steps = await prune_all(stores, keeping(inbox=at_most(1), feed=at_most(1), dead_letters=at_most(1)), limit=limit)
    assert all(max(step.notifications, step.broadcasts, step.dead_letters) <= limit for step in steps)
    assert sum(step.notifications for step in steps) == 6
    assert sum(step.broadcasts for step in steps) == 6
    assert sum(step.dead_letters for step in steps) == 3
    for user in ("ada", "bob"):
        assert await whole(stores.store, f"inbox:{user}") == [(4, "d3")]
        await check_counters(stores, user)
    assert await whole(stores.store, "feed:rest") == [(4, "r3")]


async def test_every_step_prunes_a_stream_from_its_oldest_entry(stores: Stores) -> None:
    await fill(stores.store, 7)
    for pruned in (3, 6, 6):
        await stores.retention.prune(keeping(inbox=at_most(1)), later(100), 3)
        assert await head(stores) == Head(7, pruned, unread=7 - pruned)
        assert [seq for seq, _ in await whole(stores.store, "inbox:ada")] == list(range(pruned + 1, 8))


async def test_concurrent_pruning_removes_no_more_than_is_due(stores: Stores) -> None:
    await record(stores.store, *(direct(f"d{n}", "ada") for n in range(12)), *(lost(f"x{n}") for n in range(12)))
    rule = keeping(inbox=at_most(4), dead_letters=at_most(4))
    steps = await asyncio.gather(*(stores.retention.prune(rule, later(1), 5) for _ in range(6)))
    steps += await prune_all(stores, rule)
    assert sum(step.notifications for step in steps) == 8
    assert [seq for seq, _ in await whole(stores.store, "inbox:ada")] == [9, 10, 11, 12]
    assert [one.letter.event_id for one in await stores.dead_letters.newest(10)] == ["x11", "x10", "x9", "x8"]
    await check_counters(stores)


async def test_pruning_is_correct_beside_concurrent_writers_markers_and_readers(stores: Stores) -> None:
    chance = random.Random(1)
    working = True

    async def write(writer: int) -> None:
        for number in range(8):
            await record(stores.store, *(direct(f"{writer}-{number}-{part}", "ada") for part in range(3)))
            await asyncio.sleep(0)

    async def mark() -> None:
        for number in range(8):
            if page := (await stores.inboxes.page("ada", NotificationFilter(), 9)).notifications:
                await stores.inboxes.change("ada", chance.choice(page).id, chance.choice(["read", "archived"]), NOW)
            await stores.inboxes.change_all("ada", "read", number * 5, 3, NOW)
            await stores.inboxes.see("ada", number * 4)
            await asyncio.sleep(0)

    async def read() -> None:
        after = pruned = 0
        while working:
            page = await stores.store.arrivals("inbox:ada", after, 4)
            assert page.head.pruned >= pruned
            assert all(max(after, page.head.pruned) < one.seq <= page.upto for one in page.entries)
            after, pruned = page.upto, page.head.pruned
            await asyncio.sleep(0)

    async def prune() -> None:
        while working:
            await stores.retention.prune(keeping(inbox=at_most(5)), NOW, 2)
            await asyncio.sleep(0)

    others = [asyncio.create_task(one) for one in (read(), prune(), prune())]
    await asyncio.gather(write(1), write(2), mark(), mark())
    working = False
    await asyncio.gather(*others)
    await prune_all(stores, keeping(inbox=at_most(5)))
    rows = await kept(stores)
    assert len(rows) == 5
    last = await head(stores)
    assert last.pruned < rows[0].seq
    await check_counters(stores)
