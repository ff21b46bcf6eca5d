"""Nodes of version 0.4, which do not support the watermark, and of this version on the same inboxes: the numbers of
unread and unseen notifications are exact, whichever version writes."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from adapters.sql.database import Database
from domain.notifications import NotificationFilter
from tests.support.core import NOW
from tests.support.inboxes_0_4 import OldNode
from tests.support.stores import Stores, check_counters, direct, fill, head, later, record, sql, sqlite_url

CHANGES: tuple[Any, ...] = ("read", "unread", "archived")


class Both:
    """A node of version 0.4 and one of this version, on one database."""

    def __init__(self, url: str, stores: Stores, database: Database) -> None:
        self.old = OldNode(url)
        self.new = stores
        self.database = database


@pytest.fixture(params=["postgresql", "sqlite"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Both]:
    if request.param == "sqlite":
        url, drop = await sqlite_url(tmp_path), None
    else:
        server = request.getfixturevalue("postgres")
        url, drop = server.create(), server.drop
    database = Database(url, 2)
    async with sql(url) as stores:
        pair = Both(url, stores, database)
        # Stored before the first node was upgraded.
        assert await pair.old.add("ada", "before-1", NOW) == 1
        assert await pair.old.add("ada", "before-2", NOW) == 2
        assert await pair.old.change("ada", "read", 2, 2, NOW) == 1
        yield pair
        await pair.old.close()
    await database.close()
    if drop is not None:
        drop(url)


async def totals(both: Both) -> tuple[int, int]:
    await check_counters(both.new)
    now = await head(both.new)
    return now.unread, now.unseen


async def test_each_act_of_an_old_node_is_counted(both: Both) -> None:
    old, new = both.old, both.new
    assert await totals(both) == (1, 1)
    await fill(new.store, 4)  # 4 … 7
    assert (await new.inboxes.see("ada", 5)).head.unseen == 2
    assert await totals(both) == (5, 2)
    # An arrival does not make the count wrong, and the watermark is kept.
    assert await old.add("ada", "old", later(1)) == 9
    assert await totals(both) == (6, 3)
    for change, first, last, expected in (
        ("read", 4, 4, (5, 3)),
        ("read", 6, 9, (2, 0)),
        ("unread", 1, 9, (7, 3)),
        ("archived", 5, 6, (5, 2)),
    ):
        assert await old.change("ada", change, first, last, later(2))
        assert await totals(both) == expected
        # Each node of this version reports the right numbers with the next entry, and stores them.
        (entry,) = (await record(new.store, direct(f"{change}-{first}", "ada"))).entries
        assert (entry.unread, entry.unseen) == (expected[0] + 1, expected[1] + 1)
        changed = await new.inboxes.change("ada", entry.id, "archived", later(3))
        assert changed is not None
        assert (changed.head.unread, changed.head.unseen) == expected
    await old.prune("ada", 2)
    assert await totals(both) == (3, 2)
    assert (await new.inboxes.see("ada", 99)).head.unseen == 0
    assert await totals(both) == (3, 0)


async def test_old_nodes_pass_the_position_of_a_move(both: Both) -> None:
    await fill(both.new.store, 2)  # 4, 5
    assert (await both.new.inboxes.see("ada", 4)).head.seen_changed == 6
    assert (await both.old.head("ada")).last_seq == 6
    assert await both.old.changes("ada", 5) == []
    assert await both.old.add("ada", "next", later(1)) == 7
    assert [changed for changed, _ in await both.old.changes("ada", 4)] == [5, 7]
    page = await both.new.store.changes("inbox:ada", 5, 10)
    assert [(entry.kind, entry.changed) for entry in page.in_order] == [("seen", 6), ("arrival", 7)]


async def test_concurrent_nodes_of_both_versions_count_exactly(both: Both) -> None:
    chance = random.Random(1)
    await fill(both.new.store, 10)

    async def old(number: int) -> None:
        for step in range(6):
            first = chance.randint(1, 30)
            await both.old.change("ada", chance.choice(CHANGES), first, first + chance.randint(0, 4), later(step))
            await both.old.add("ada", f"old-{number}-{step}", later(step))
        await both.old.prune("ada", 2)

    async def new(number: int) -> None:
        inboxes = both.new.inboxes
        for step in range(6):
            await inboxes.see("ada", chance.randint(1, 12 + 4 * step))
            page = (await inboxes.page("ada", NotificationFilter(), 12)).notifications
            if page:
                await inboxes.change("ada", chance.choice(page).id, chance.choice(CHANGES), later(step))
            await inboxes.change_all("ada", "read", chance.randint(1, 40), 2, later(step))
            (entry,) = (await record(both.new.store, direct(f"new-{number}-{step}", "ada"))).entries
            assert entry.unseen is not None
            assert 0 < entry.unseen <= entry.unread

    async def read() -> None:
        for _ in range(20):
            page = await both.new.inboxes.page("ada", NotificationFilter(read=False), 1_000)
            unseen = [one for one in page.notifications if one.seq > page.head.seen_seq]
            assert (len(page.notifications), len(unseen)) == (page.head.unread, page.head.unseen)
            await asyncio.sleep(0)

    # One old node: on SQLite, the transactions of two would fail with a lock error.
    await asyncio.gather(old(1), new(1), new(2), read())
    await check_counters(both.new)


async def test_a_notification_that_a_later_version_lets_arrive_again_is_listed_once(both: Both) -> None:
    """A list that is read page by page does not show it twice; `changes` since the first page has it."""
    await fill(both.new.store, 5)  # 4 … 8
    first = await both.new.inboxes.page("ada", NotificationFilter(), 2)
    async with both.database.engine.begin() as connection:
        again = "UPDATE notifications SET seq = 9, changed = 9 WHERE user_id = 'ada' AND seq = :seq"
        await connection.execute(text(again), {"seq": 7})
        await connection.execute(text("UPDATE inboxes SET last_seq = 9 WHERE user_id = 'ada'"))
    shown, before = [one.id for one in first.notifications], first.notifications[-1].seq
    while True:
        page = await both.new.inboxes.page("ada", NotificationFilter(), 2, before=before)
        shown += [one.id for one in page.notifications]
        if not page.more:
            break
        before = page.notifications[-1].seq
    assert len(shown) == len(set(shown)) == 7
    arrived = await both.new.store.changes("inbox:ada", first.head.last, 10)
    assert [(one.id, one.seq, one.kind) for one in arrived.entries] == [(shown[1], 9, "arrival")]
