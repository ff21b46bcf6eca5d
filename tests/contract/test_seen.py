"""The watermark of an inbox, up to which its user has seen the notifications, on every adapter."""

import asyncio
from datetime import timedelta

import pytest

from application.ports.inboxes import SeenMoved
from application.ports.retention import Keep, Keeping
from domain.notifications import NotificationFilter
from domain.positions import Head
from domain.preferences import Preferences
from domain.streams import Seen
from tests.support.core import NOW
from tests.support.stores import Stores, check_counters, direct, fill, head, later, record


async def seen_page(stores: Stores, after: int, limit: int = 10) -> tuple[list[tuple[str, int]], int]:
    """Return the kinds and positions of a page of changes, and its last position."""
    page = await stores.store.changes("inbox:ada", after, limit)
    return [(entry.kind, entry.changed) for entry in page.in_order], page.upto


async def test_the_watermark_moves_to_a_notification_and_never_back(stores: Stores) -> None:
    assert await stores.inboxes.see("ada", 5) == SeenMoved(False, Head())
    entries = await fill(stores.store, 3)
    await fill(stores.store, 2, "bob", prefix="b")
    assert [entry.unseen for entry in entries] == [1, 2, 3]
    assert await head(stores) == Head(3, 0, unread=3)
    assert await stores.inboxes.see("ada", 0) == SeenMoved(False, Head(3, 0, unread=3))
    moved = Head(4, 0, unread=3, seen_seq=2, seen_changed=4, seen_unread=2)
    assert await stores.inboxes.see("ada", 2) == SeenMoved(True, moved)
    assert (moved.unseen, await head(stores)) == (1, moved)
    for upto in (2, 1, 0, -5):
        assert await stores.inboxes.see("ada", upto) == SeenMoved(False, moved)
    # No notification has position 4, so a later position means the newest one.
    last = Head(5, 0, unread=3, seen_seq=3, seen_changed=5, seen_unread=3)
    assert await stores.inboxes.see("ada", 4) == SeenMoved(True, last)
    for upto in (4, 5, 10**15 - 1):
        assert await stores.inboxes.see("ada", upto) == SeenMoved(False, last)
    (new,) = (await record(stores.store, direct("new", "ada"))).entries
    assert (new.seq, new.unread, new.unseen) == (6, 4, 1)
    assert await head(stores, "bob") == Head(2, 0, unread=2)
    await check_counters(stores)


async def test_state_changes_keep_the_watermark_and_count_exactly(stores: Stores) -> None:
    entries = await fill(stores.store, 6)
    await stores.inboxes.see("ada", 3)
    ids = [entry.id for entry in entries]
    steps = [("read", 0, 5, 3), ("read", 5, 4, 2), ("unread", 5, 5, 3), ("unread", 0, 6, 3), ("archived", 4, 5, 2)]
    for change, index, unread, unseen in steps:
        made = await stores.inboxes.change("ada", ids[index], change, later(10))
        assert made is not None
        assert [(entry.unread, entry.unseen) for entry in made.entries] == [(unread, unseen)]
        assert (made.head.unread, made.head.unseen, made.head.seen_seq) == (unread, unseen, 3)
        await check_counters(stores)
    made = await stores.inboxes.change_all("ada", "read", 4, 3, later(11))
    assert [(entry.seq, entry.unread, entry.unseen) for entry in made.entries] == [(4, 2, 1), (3, 2, 1), (2, 2, 1)]
    assert (await stores.inboxes.change_all("ada", "archived", 10, 10, later(12))).head.unseen == 0
    assert await head(stores) == Head(14, 0, seen_seq=3, seen_changed=7)
    await check_counters(stores)


async def test_notifications_of_muted_types_are_not_unseen(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(muted_types=("spam",)), NOW)
    await record(stores.store, direct("a", "ada"))
    (muted,) = (await record(stores.store, direct("b", "ada", type="spam"))).entries
    assert (muted.unread, muted.unseen) == (1, 1)
    await stores.inboxes.see("ada", 1)
    # Notifications that are not pushed, but whose type is not muted, count.
    await stores.preferences.put("ada", Preferences(websocket_notifications=False), NOW)
    (quiet,) = (await record(stores.store, direct("c", "ada"))).entries
    assert (quiet.muted, quiet.unread, quiet.unseen) == (True, 2, 1)
    await check_counters(stores)


async def test_the_move_is_on_one_page_of_changes_at_its_position(stores: Stores) -> None:
    entries = await fill(stores.store, 4)
    await stores.inboxes.see("ada", 1)  # 5
    await stores.inboxes.change("ada", entries[0].id, "read", later(1))  # 6
    await stores.inboxes.see("ada", 2)  # 7
    await record(stores.store, direct("e5", "ada"))  # 8
    arrivals = [("arrival", position) for position in (2, 3, 4, 6)]
    assert await seen_page(stores, 0) == ([*arrivals, ("seen", 7), ("arrival", 8)], 8)
    for limit in range(1, 9):
        after, shown = 0, []
        while after < 8:
            entries_of_page, after = await seen_page(stores, after, limit)
            shown += entries_of_page
        assert shown == [*arrivals, ("seen", 7), ("arrival", 8)]
    assert await seen_page(stores, 6) == ([("seen", 7), ("arrival", 8)], 8)
    assert await seen_page(stores, 7) == ([("arrival", 8)], 8)
    page = await stores.store.changes("inbox:ada", 6, 10)
    assert page.seen == Seen("inbox:ada", 2, 7, 3)
    assert (await stores.store.arrivals("inbox:ada", 0, 10)).seen is None
    assert len((await stores.store.arrivals("inbox:ada", 0, 10)).entries) == 5
    await stores.inboxes.see("ada", 99)  # 9
    assert await seen_page(stores, 8) == ([("seen", 9)], 9)
    assert await seen_page(stores, 9) == ([], 9)


async def test_pruned_notifications_are_subtracted(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(8)))
    await stores.inboxes.see("ada", 4)
    rest = Keep(timedelta(days=365), 1_000)
    for count, unseen in ((6, 4), (3, 3), (1, 1), (0, 0)):
        await stores.retention.prune(Keeping(Keep(timedelta(days=365), count), rest, rest, rest), NOW)
        now = await head(stores)
        assert (now.unread, now.unseen, now.seen_seq) == (count, unseen, 4)
        await check_counters(stores)
        assert not (await stores.inboxes.see("ada", 5 if count == 3 else 0)).is_moved
    await record(stores.store, direct("new", "ada"))
    assert (await stores.inboxes.see("ada", 99)).head == Head(
        11, 8, unread=1, seen_seq=10, seen_changed=11, seen_unread=1
    )
    await check_counters(stores)


async def test_concurrent_moves_take_effect_once_each(stores: Stores) -> None:
    await fill(stores.store, 5)
    made = await asyncio.gather(*(stores.inboxes.see("ada", upto) for upto in (3, 5, 3, 5, 1, 5)))
    moves = sorted(seen.head.seen_seq for seen in made if seen.is_moved)
    assert moves == sorted(set(moves))
    assert moves[-1] == 5
    assert (await head(stores)).last == 5 + len(moves)
    await check_counters(stores)


@pytest.mark.parametrize("size", [2, 3])
async def test_paging_shows_each_notification_at_most_once(stores: Stores, size: int) -> None:
    """Whatever arrives, changes and is seen meanwhile; `changes` since the first page has the rest."""
    await fill(stores.store, 7)
    before, shown, start = None, [], 0
    for number in range(20):
        page = await stores.inboxes.page("ada", NotificationFilter(), size, before=before)
        start = start or page.head.last
        shown += page.notifications
        if not page.more:
            break
        before = page.notifications[-1].seq
        await stores.inboxes.change("ada", shown[0].id, "read" if number % 2 else "unread", later(number))
        await stores.inboxes.see("ada", page.head.last)
        await record(stores.store, direct(f"new{number}", "ada"))
    assert [one.seq for one in shown] == [7, 6, 5, 4, 3, 2, 1]
    after = await stores.store.changes("inbox:ada", start, 100)
    assert {one.content.event_id for one in after.entries} >= {"new0", "new1"}
