"""The Inboxes port, on every adapter."""

import asyncio
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest

from application.ports.inboxes import InboxPage, StateChanged
from domain.notification_state import StateChange
from domain.notifications import NotificationFilter
from domain.positions import Head
from tests.support.core import NOW
from tests.support.stores import Stores, check_counters, direct, fill, head, kept, later, record, whole

MARKS: tuple[StateChange, ...] = ("read", "unread", "archived")


def seqs(page: InboxPage) -> list[int]:
    return [one.seq for one in page.notifications]


async def mark(stores: Stores, id: UUID, mark: StateChange, seconds: float = 100, user: str = "ada") -> StateChanged:
    marked = await stores.inboxes.change(user, id, mark, later(seconds))
    assert marked is not None
    return marked


# --- reading --------------------------------------------------------------------------------------------------


async def test_a_notification_is_read_back_as_recorded(stores: Stores) -> None:
    at = NOW + timedelta(microseconds=123_456)
    (entry,) = (await record(stores.store, direct("a", "ada", type="hello"), at=at)).entries
    found = await stores.inboxes.get("ada", entry.id)
    assert found is not None
    assert (found.id, found.user, found.seq, found.changed) == (entry.id, "ada", 1, 1)
    assert (found.content, found.stored_at, found.updated_at) == (entry.content, at, at)
    assert (found.state.read_at, found.state.archived, found.state.muted) == (None, False, False)
    assert found.entry(await head(stores)) == entry


async def test_several_notifications_are_read_by_id(stores: Stores) -> None:
    ids = [entry.id for entry in await fill(stores.store, 4)]
    (of_bob,) = [entry.id for entry in await fill(stores.store, 1, "bob", prefix="b")]
    await mark(stores, ids[1], "archived")
    found = await stores.inboxes.some("ada", {*ids[:3], of_bob, uuid4()})
    assert found == {id: await stores.inboxes.get("ada", id) for id in ids[:3]}


async def test_a_notification_of_another_user_is_not_found(stores: Stores) -> None:
    entries = (await record(stores.store, direct("a", "ada", "bob"))).entries
    (of_ada,) = [entry.id for entry in entries if entry.stream == "inbox:ada"]
    assert await stores.inboxes.get("bob", of_ada) is None
    assert await stores.inboxes.get("eve", of_ada) is None
    assert await stores.inboxes.get("ada", uuid4()) is None
    assert await stores.inboxes.some("ada", []) == {}
    for name in MARKS:
        assert await stores.inboxes.change("bob", of_ada, name, later(1)) is None
        assert await stores.inboxes.change("eve", of_ada, name, later(1)) is None
        assert await stores.inboxes.change("ada", uuid4(), name, later(1)) is None
    assert [await head(stores, user) for user in ("ada", "bob", "eve")] == [
        Head(1, 0, unread=1),
        Head(1, 0, unread=1),
        Head(),
    ]


async def test_an_inbox_that_was_never_written_is_empty(stores: Stores) -> None:
    inboxes = stores.inboxes
    assert await inboxes.page("ada", NotificationFilter(), 10) == InboxPage((), Head(), False)
    assert (await inboxes.count("ada", NotificationFilter()), (await head(stores)).unread) == (0, 0)
    assert await inboxes.unread_by_type("ada") == {}
    assert await inboxes.change_all("ada", "read", 100, 10, NOW) == StateChanged((), Head())
    assert await stores.store.heads(["inbox:ada"]) == {"inbox:ada": Head()}


async def test_pages_are_newest_first_and_contiguous(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada", "bob") for n in range(1, 12)))
    first = await stores.inboxes.page("ada", NotificationFilter(), 4)
    assert (seqs(first), first.more, first.head) == ([11, 10, 9, 8], True, Head(11, 0, unread=11))
    second = await stores.inboxes.page("ada", NotificationFilter(), 4, before=8)
    assert (seqs(second), second.more) == ([7, 6, 5, 4], True)
    third = await stores.inboxes.page("ada", NotificationFilter(), 4, before=4)
    assert (seqs(third), third.more) == ([3, 2, 1], False)
    assert not (await stores.inboxes.page("ada", NotificationFilter(), 3, before=4)).more
    last = await stores.inboxes.page("ada", NotificationFilter(), 4, before=1)
    assert (last.notifications, last.more, last.head) == ((), False, first.head)


@pytest.mark.parametrize(("skip", "before", "seen", "more"), [
    (0, None, [7, 6, 5], True),
    (3, None, [4, 3, 2], True),
    (4, None, [3, 2, 1], False),
    (6, None, [1], False),
    (7, None, [], False),
    (1_000_000, None, [], False),
    (1, 5, [3, 2, 1], False),
    (0, 1_000_000, [7, 6, 5], True),
])  # fmt: skip
async def test_a_page_may_skip_notifications(
    stores: Stores, skip: int, before: int | None, seen: list[int], more: bool
) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 8)))
    page = await stores.inboxes.page("ada", NotificationFilter(), 3, before=before, skip=skip)
    assert (seqs(page), page.more) == (seen, more)


async def test_arrivals_do_not_move_pages_that_are_read_by_cursor(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 7)))
    first = await stores.inboxes.page("ada", NotificationFilter(), 3)
    await record(stores.store, *(direct(f"f{n}", "ada") for n in range(4)))
    await mark(stores, first.notifications[0].id, "archived")
    second = await stores.inboxes.page("ada", NotificationFilter(), 3, before=seqs(first)[-1])
    assert seqs(first) + seqs(second) == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(("choice", "seen"), [
    (NotificationFilter(), [8, 7, 6, 5, 4, 3, 2]),
    (NotificationFilter(archived=None), [8, 7, 6, 5, 4, 3, 2, 1]),
    (NotificationFilter(archived=True), [1]),
    (NotificationFilter(read=True), [4, 3]),
    (NotificationFilter(read=False), [8, 7, 6, 5, 2]),
    (NotificationFilter(read=False, archived=None), [8, 7, 6, 5, 2, 1]),
    (NotificationFilter(type="b"), [8, 7, 6, 5]),
    (NotificationFilter(type="a", read=True), [4, 3]),
    (NotificationFilter(type="a", archived=True), [1]),
    (NotificationFilter(type="A"), []),
    (NotificationFilter(type="%"), []),
    (NotificationFilter(type=""), []),
    (NotificationFilter(start=later(3)), [8, 7, 4, 3]),
    (NotificationFilter(end=later(3)), [7, 6, 5, 3, 2]),
    (NotificationFilter(start=later(2), end=later(3), type="b"), [7, 6]),
    (NotificationFilter(start=later(2), end=later(2)), [6, 2]),
    (NotificationFilter(start=later(2.000001), end=later(2.999999)), []),
    (NotificationFilter(start=later(4), end=later(1)), []),
])  # fmt: skip
async def test_an_inbox_is_filtered(stores: Stores, choice: NotificationFilter, seen: list[int]) -> None:
    of_a = await fill(stores.store, 4, type="a", prefix="a")  # 1 … 4
    await fill(stores.store, 4, type="b", prefix="b")  # 5 … 8, at the same times
    await fill(stores.store, 2, "bob", type="a", prefix="c")
    await mark(stores, of_a[0].id, "archived")
    await mark(stores, of_a[2].id, "read")
    await mark(stores, of_a[3].id, "read")
    page = await stores.inboxes.page("ada", choice, 100)
    assert (seqs(page), page.more) == (seen, False)
    assert await stores.inboxes.count("ada", choice) == len(seen)
    if len(seen) > 1:
        part = await stores.inboxes.page("ada", choice, 1, before=seen[0], skip=len(seen) - 2)
        assert (seqs(part), part.more) == (seen[-1:], False)


async def test_unread_notifications_are_counted_by_type(stores: Stores) -> None:
    of_a = await fill(stores.store, 3, type="a", prefix="a")
    of_b = await fill(stores.store, 2, type="b", prefix="b")
    of_c = await fill(stores.store, 1, type="ç' %", prefix="c")
    assert await stores.inboxes.unread_by_type("ada") == {"a": 3, "b": 2, "ç' %": 1}
    await mark(stores, of_a[0].id, "read")
    await mark(stores, of_a[1].id, "archived")
    for entry in of_b:
        await mark(stores, entry.id, "read")
    assert await stores.inboxes.unread_by_type("ada") == {"a": 1, "ç' %": 1}
    assert (await head(stores)).unread == 2
    await mark(stores, of_b[0].id, "unread")
    await mark(stores, of_c[0].id, "archived")
    assert await stores.inboxes.unread_by_type("ada") == {"a": 1, "b": 1}
    await check_counters(stores)


# --- changing one notification ---------------------------------------------------------------------------------


async def test_a_state_change_takes_the_next_position_and_is_returned(stores: Stores) -> None:
    first, second = await fill(stores.store, 2)
    at = later(50) + timedelta(microseconds=7)
    marked = await stores.inboxes.change("ada", first.id, "read", at)
    assert marked is not None
    (entry,) = marked.entries
    assert (entry.id, entry.seq, entry.changed, entry.kind, entry.read, entry.unread) == (
        first.id,
        1,
        3,
        "read",
        True,
        1,
    )
    assert (entry.stream, entry.content, entry.stored_at) == ("inbox:ada", first.content, first.stored_at)
    now = marked.notification
    assert now is not None
    assert (now.state.read_at, now.updated_at, now.stored_at, now.changed) == (at, at, later(1), 3)
    assert now == await stores.inboxes.get("ada", first.id)
    assert marked.head.unread == 1
    assert await head(stores) == Head(3, 0, unread=1)
    untouched = await stores.inboxes.get("ada", second.id)
    assert untouched is not None
    assert (untouched.changed, untouched.updated_at, untouched.state.read_at) == (2, later(2), None)


async def test_a_read_notification_can_be_marked_unread_and_read_again(stores: Stores) -> None:
    (one,) = await fill(stores.store, 1)
    await mark(stores, one.id, "read", 10)
    marked = await mark(stores, one.id, "unread", 11)
    assert [(entry.kind, entry.changed, entry.read, entry.unread) for entry in marked.entries] == [
        ("unread", 3, False, 1)
    ]
    assert marked.notification is not None
    assert (marked.notification.state.read_at, marked.notification.updated_at) == (None, later(11))
    marked = await mark(stores, one.id, "read", 12)
    assert marked.notification is not None
    assert (marked.notification.state.read_at, marked.notification.changed, marked.head.unread) == (later(12), 4, 0)
    await check_counters(stores)


@pytest.mark.parametrize("read", [False, True])
async def test_an_archived_notification_leaves_the_inbox_and_does_not_change(stores: Stores, read: bool) -> None:
    one, _ = await fill(stores.store, 2)
    if read:
        await mark(stores, one.id, "read", 10)
    marked = await mark(stores, one.id, "archived", 11)
    last = 4 if read else 3
    assert [(entry.kind, entry.changed, entry.read, entry.unread) for entry in marked.entries] == [
        ("archived", last, read, 1)
    ]
    for name in MARKS:
        again = await mark(stores, one.id, name, 12)
        assert again == StateChanged((), marked.head, marked.notification)
    found = await stores.inboxes.get("ada", one.id)
    assert found == marked.notification
    assert found is not None
    assert (found.state.archived, found.state.read, found.updated_at) == (True, read, later(11))
    assert await head(stores) == Head(last, 0, unread=1)
    assert seqs(await stores.inboxes.page("ada", NotificationFilter(), 10)) == [2]
    await check_counters(stores)


@pytest.mark.parametrize("name", MARKS)
async def test_a_change_without_effect_takes_no_position(stores: Stores, name: StateChange) -> None:
    (one,) = await fill(stores.store, 1)
    await mark(stores, one.id, name, 10)
    before = await head(stores)
    known = await stores.inboxes.get("ada", one.id)
    for seconds in (11, 12):
        assert await mark(stores, one.id, name, seconds) == StateChanged((), before, known)
    assert await head(stores) == before
    assert await stores.inboxes.get("ada", one.id) == known
    assert (await stores.store.changes("inbox:ada", before.last, 10)).entries == ()


async def test_a_repeat_of_an_archived_event_is_a_duplicate(stores: Stores) -> None:
    (one,) = await fill(stores.store, 1)
    await mark(stores, one.id, "archived")
    again = await record(stores.store, direct("e1", "ada"), at=later(20))
    assert (again.entries, again.duplicates) == ((), 1)
    assert await head(stores) == Head(2, 0)


async def test_arrivals_are_numbered_after_state_changes(stores: Stores) -> None:
    (one,) = await fill(stores.store, 1)
    await mark(stores, one.id, "read")
    (new,) = (await record(stores.store, direct("new", "ada"))).entries
    assert (new.seq, new.changed, new.unread) == (3, 3, 1)
    assert await whole(stores.store, "inbox:ada") == [(1, "e1"), (3, "new")]


@pytest.mark.parametrize("user", ["a:b", "inbox:x", "ü😀", "a'b", "%", "\\", "x" * 255])
async def test_any_valid_user_id_can_change_their_inbox(stores: Stores, user: str) -> None:
    (one,) = await fill(stores.store, 1, user)
    assert (await mark(stores, one.id, "read", user=user)).entries[0].stream == f"inbox:{user}"
    await record(stores.store, direct("more", user))
    assert len((await stores.inboxes.change_all(user, "archived", 10, 10, later(1))).entries) == 2
    await check_counters(stores, user)


# --- bulk changes -----------------------------------------------------------------------------------------------


async def test_a_bulk_change_takes_one_position(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada", "bob") for n in range(1, 6)))
    marked = await stores.inboxes.change_all("ada", "read", 5, 100, later(10))
    assert sorted((entry.seq, entry.changed, entry.kind, entry.read, entry.unread) for entry in marked.entries) == [
        (seq, 6, "read", True, 0) for seq in range(1, 6)
    ]
    assert (marked.head.unread, marked.notification) == (0, None)
    assert await head(stores) == Head(6, 0)
    assert {(one.state.read_at, one.updated_at, one.changed) for one in await kept(stores)} == {
        (later(10), later(10), 6)
    }
    assert await head(stores, "bob") == Head(5, 0, unread=5)
    assert await stores.inboxes.change_all("ada", "read", 5, 100, later(11)) == StateChanged((), marked.head)
    assert await head(stores) == Head(6, 0)


async def test_a_bulk_change_is_chunked_from_the_newest_on(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 8)))
    chunks, places, totals = [], [], []
    while True:
        marked = await stores.inboxes.change_all("ada", "read", 7, 3, later(10))
        chunks.append([entry.seq for entry in marked.entries])
        places.append({entry.changed for entry in marked.entries})
        totals.append(marked.head.unread)
        assert {entry.unread for entry in marked.entries} == {marked.head.unread}
        if len(marked.entries) < 3:
            break
    assert (chunks, places, totals) == ([[7, 6, 5], [4, 3, 2], [1]], [{8}, {9}, {10}], [4, 1, 0])
    await check_counters(stores)


async def test_a_bulk_change_skips_notifications_already_in_that_state(stores: Stores) -> None:
    entries = await fill(stores.store, 6)
    await mark(stores, entries[0].id, "archived")
    await mark(stores, entries[1].id, "read", 50)
    await mark(stores, entries[5].id, "read", 50)
    marked = await stores.inboxes.change_all("ada", "read", 6, 2, later(60))
    assert (sorted(entry.seq for entry in marked.entries), marked.head.unread) == ([4, 5], 1)
    cleared = await stores.inboxes.change_all("ada", "archived", 6, 100, later(70))
    assert sorted((entry.seq, entry.read, entry.kind) for entry in cleared.entries) == [
        (2, True, "archived"),
        (3, False, "archived"),
        (4, True, "archived"),
        (5, True, "archived"),
        (6, True, "archived"),
    ]
    assert cleared.head.unread == 0
    read_at = {one.seq: one.state.read_at for one in await kept(stores)}
    assert read_at == {1: None, 2: later(50), 3: None, 4: later(60), 5: later(60), 6: later(50)}
    for name in ("read", "archived"):
        assert (await stores.inboxes.change_all("ada", name, 100, 100, later(80))).entries == ()
    assert await head(stores) == Head(11, 0)
    await check_counters(stores)


@pytest.mark.parametrize("name", ["read", "archived"])
async def test_a_bulk_change_stops_at_the_given_seq(stores: Stores, name: Literal["read", "archived"]) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 6)))
    assert (await stores.inboxes.change_all("ada", name, 0, 10, later(1))).entries == ()
    marked = await stores.inboxes.change_all("ada", name, 3, 10, later(1))
    assert sorted(entry.seq for entry in marked.entries) == [1, 2, 3]
    assert marked.head.unread == 2
    # The limit applies to seq, not to the position of the last change.
    await mark(stores, (await kept(stores))[4].id, "read")
    assert (await stores.inboxes.change_all("ada", name, 3, 10, later(2))).entries == ()
    await check_counters(stores)


@pytest.mark.parametrize("name", ["read", "archived"])
async def test_arrivals_during_a_bulk_change_stay_unread(stores: Stores, name: Literal["read", "archived"]) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(30)))

    async def write() -> None:
        for number in range(10):
            await record(stores.store, direct(f"new{number}", "ada"), at=later(1))
            await asyncio.sleep(0)

    async def clear() -> None:
        while len((await stores.inboxes.change_all("ada", name, 30, 4, later(2))).entries) == 4:
            await asyncio.sleep(0)

    await asyncio.gather(write(), clear(), write())
    rows = await kept(stores)
    assert {one.content.event_id for one in rows if not one.state.read and not one.state.archived} == {
        f"new{n}" for n in range(10)
    }
    assert (await head(stores)).unread == 10
    await check_counters(stores)


# --- concurrency ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read", "archived"])
async def test_of_identical_concurrent_changes_one_takes_effect(stores: Stores, name: StateChange) -> None:
    one, _ = await fill(stores.store, 2)
    made = await asyncio.gather(*(mark(stores, one.id, name, 10 + n) for n in range(8)))
    assert sorted(len(marked.entries) for marked in made) == [0] * 7 + [1]
    assert {marked.head.unread for marked in made} == {1}
    assert {marked.notification for marked in made} == {await stores.inboxes.get("ada", one.id)}
    assert await head(stores) == Head(3, 0, unread=1)


async def test_different_concurrent_changes_are_serialized(stores: Stores) -> None:
    entries = await fill(stores.store, 3)
    names: list[StateChange] = ["read", "unread", "archived", "read", "unread", "archived"]
    made = await asyncio.gather(*(mark(stores, entry.id, name) for name in names for entry in entries))
    told = sorted((one.changed, one.kind, one.unread) for marked in made for one in marked.entries)
    assert [changed for changed, _, _ in told] == list(range(4, 4 + len(told)))
    assert [kind for _, kind, _ in told].count("archived") == 3
    assert all(one.state.archived for one in await kept(stores))
    assert await head(stores) == Head(3 + len(told), 0)


@pytest.mark.parametrize("name", ["read", "archived"])
async def test_concurrent_bulk_changes_change_each_notification_once(
    stores: Stores, name: Literal["read", "archived"]
) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 21)))

    async def clear() -> list[Any]:
        told: list[Any] = []
        while marked := (await stores.inboxes.change_all("ada", name, 20, 3, later(1))).entries:
            told.append(sorted((entry.changed, entry.seq) for entry in marked))
            await asyncio.sleep(0)
        return told

    acts = [act for told in await asyncio.gather(*(clear() for _ in range(4))) for act in told]
    assert sorted(seq for act in acts for _, seq in act) == list(range(1, 21))
    assert all(len({changed for changed, _ in act}) == 1 for act in acts)
    assert sorted(act[0][0] for act in acts) == list(range(21, 21 + len(acts)))
    assert await head(stores) == Head(20 + len(acts), 0)
