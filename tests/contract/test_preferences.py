"""The PreferencesStore port, on every adapter, and the effect of preferences on what is stored."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from adapters.clock import SystemClock
from adapters.memory.backplane import MemoryBackplane
from application.counters import Counters
from application.inbox.follow_changes import FollowChanges
from application.inbox.mark_muted_read import MarkMutedRead, Pace
from application.inbox.set_preferences import SetPreferences
from application.ports.inboxes import MutedUnread
from domain.notification_state import StateChange
from domain.notifications import NotificationFilter
from domain.positions import Cursor, Head, tag_of
from domain.preferences import DEFAULT, MAX_MUTED_TYPES, MAX_TYPE_LENGTH, Preferences
from domain.streams import INBOX, Entry, SignOut, inbox_of
from tests.support.core import NOW
from tests.support.stores import Stores, check_counters, direct, head, kept, later, record


async def muted(stores: Stores, user: str = "ada") -> dict[str, bool]:
    return {one.content.event_id: one.state.muted for one in await kept(stores, user)}


# --- storing --------------------------------------------------------------------------------------------------


async def test_a_user_without_preferences_has_the_defaults(stores: Stores) -> None:
    assert await stores.preferences.get("ada") == DEFAULT
    await stores.preferences.put("bob", Preferences(push_notifications=False), NOW)
    assert await stores.preferences.get("ada") == DEFAULT


@pytest.mark.parametrize("wishes", [
    Preferences(),
    Preferences(email_notifications=False),
    Preferences(push_notifications=False),
    Preferences(websocket_notifications=False),
    Preferences(False, False, False, ("b", "a")),
    Preferences(muted_types=("ü😀", "a'b", 'a"b', "{a,b}", "%", "\\", " ", "null", "x" * MAX_TYPE_LENGTH)),
    Preferences(muted_types=tuple(f"{'ü' * (MAX_TYPE_LENGTH - 3)}{n:03}" for n in range(MAX_MUTED_TYPES))),
])  # fmt: skip
async def test_preferences_are_stored_as_put(stores: Stores, wishes: Preferences) -> None:
    at = NOW + timedelta(microseconds=123_456)
    put = await stores.preferences.put("ada", wishes, at)
    assert put == msgspec.structs.replace(wishes, updated_at=at)
    assert await stores.preferences.get("ada") == put


async def test_put_replaces_all_preferences(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(False, False, False, ("a", "b")), later(1))
    await stores.preferences.put("ada", Preferences(muted_types=("c",), updated_at=later(99)), later(2))
    assert await stores.preferences.get("ada") == Preferences(muted_types=("c",), updated_at=later(2))
    await stores.preferences.put("ada", DEFAULT, later(3))
    assert await stores.preferences.get("ada") == Preferences(updated_at=later(3))


async def test_a_partial_change_keeps_the_other_fields(stores: Stores) -> None:
    changed = await stores.preferences.change("ada", {"push_notifications": False}, later(1))
    assert changed == Preferences(push_notifications=False, updated_at=later(1))
    await stores.preferences.change("ada", {"muted_types": ("b", "a")}, later(2))
    changed = await stores.preferences.change("ada", {"email_notifications": False}, later(3))
    assert changed == Preferences(False, False, True, ("b", "a"), later(3))
    assert await stores.preferences.get("ada") == changed


@pytest.mark.parametrize("is_first", [True, False])
async def test_concurrent_changes_of_different_fields_are_all_kept(stores: Stores, is_first: bool) -> None:
    wishes = SetPreferences(stores.preferences, SystemClock())
    if not is_first:
        await wishes.replace("ada", Preferences(websocket_notifications=False))
    changes: list[dict[str, Any]] = [
        {"email_notifications": False},
        {"push_notifications": False},
        {"muted_types": ("a", "b")},
    ]
    await asyncio.gather(*(wishes.patch("ada", **change) for change in changes * 4))
    kept_now = await wishes.get("ada")
    assert msgspec.structs.replace(kept_now, updated_at=None) == Preferences(False, False, is_first, ("a", "b"))


async def test_of_concurrent_puts_one_wins_as_a_whole(stores: Stores) -> None:
    wishes = [Preferences(n % 2 == 0, n % 3 == 0, n % 5 == 0, (f"t{n}",)) for n in range(8)]
    put = await asyncio.gather(*(stores.preferences.put("ada", one, later(n)) for n, one in enumerate(wishes)))
    assert await stores.preferences.get("ada") in put


# --- effects --------------------------------------------------------------------------------------------------


async def test_notifications_of_a_muted_type_are_stored_as_muted_from_then_on(stores: Stores) -> None:
    await record(stores.store, direct("before", "ada", "bob", type="a"))
    await stores.preferences.put("ada", Preferences(muted_types=("a", "z")), NOW)
    recorded = await record(stores.store, direct("a1", "ada", "bob", type="a"), direct("b1", "ada", type="b"))
    assert {(one.stream, one.content.event_id): one.muted for one in recorded.entries} == {
        ("inbox:ada", "a1"): True,
        ("inbox:bob", "a1"): False,
        ("inbox:ada", "b1"): False,
    }
    await stores.preferences.put("ada", DEFAULT, NOW)
    await record(stores.store, direct("after", "ada", type="a"))
    assert await muted(stores) == {"before": False, "a1": True, "b1": False, "after": False}
    assert await muted(stores, "bob") == {"before": False, "a1": False}


async def test_without_live_notifications_everything_is_muted(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(websocket_notifications=False), NOW)
    await record(stores.store, direct("a", "ada", "bob", type="a"), direct("b", "ada", type="b"))
    assert await muted(stores) == {"a": True, "b": True}
    assert await muted(stores, "bob") == {"a": False}


async def test_mail_and_push_switches_do_not_affect_the_inbox(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(email_notifications=False, push_notifications=False), NOW)
    await record(stores.store, direct("a", "ada"))
    assert await muted(stores) == {"a": False}


@pytest.mark.parametrize("type", ["ü😀", "a'b", "{a,b}", "a,b", "%", "x" * (MAX_TYPE_LENGTH - 1)])
async def test_types_are_muted_by_their_full_name(stores: Stores, type: str) -> None:
    await stores.preferences.put("ada", Preferences(muted_types=(type,)), NOW)
    others = [type[:-1] or "other", type + "x", type.upper() if type.upper() != type else "b", "a"]
    await record(stores.store, direct("it", "ada", type=type), *(direct(f"n{n}", "ada", type=one)
                 for n, one in enumerate(others)))  # fmt: skip
    assert await muted(stores) == {"it": True, "n0": False, "n1": False, "n2": False, "n3": False}


async def test_a_notification_of_a_muted_type_is_stored_as_read_with_a_position(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(muted_types=("a",)), NOW)
    recorded = await record(stores.store, direct("a1", "ada", type="a"), direct("b1", "ada", type="b"))
    assert [(one.seq, one.read, one.unread) for one in recorded.entries] == [(1, True, 0), (2, False, 1)]
    assert await stores.store.heads(["inbox:ada"]) == {"inbox:ada": Head(2, 0, unread=1)}
    assert await stores.inboxes.unread_by_type("ada") == {"b": 1}
    first, second = await kept(stores)
    assert (first.state.muted, first.state.read_at, second.state.muted, second.state.read_at) == (
        True,
        NOW,
        False,
        None,
    )
    for choice, expected in ((NotificationFilter(read=True), ["a1"]), (NotificationFilter(read=False), ["b1"])):
        page = await stores.inboxes.page("ada", choice, 10)
        assert [one.content.event_id for one in page.notifications] == expected
        assert await stores.inboxes.count("ada", choice) == 1
    for read in (stores.store.arrivals, stores.store.changes):
        stream = await read("inbox:ada", 0, 10)
        assert {one.content.event_id: (one.muted, one.read) for one in stream.entries} == {
            "a1": (True, True),
            "b1": (False, False),
        }
    assert (await FollowChanges(stores.inboxes, stores.store)("ada", await cursor(stores), 10)).notifications == [
        first,
        second,
    ]
    # Its state can be changed like any other.
    marked = await stores.inboxes.change("ada", first.id, "unread", later(1))
    assert marked is not None
    assert ([one.muted for one in marked.entries], marked.head.unread) == ([True], 2)
    await check_counters(stores)


async def cursor(stores: Stores, user: str = "ada") -> str:
    """Return a cursor of the inbox before anything arrived."""
    return str(Cursor(await stores.store.epoch(), tag_of(user), {INBOX: 0}))


async def test_without_live_notifications_arrivals_count_as_unread(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(websocket_notifications=False, muted_types=("a",)), NOW)
    await record(stores.store, direct("a1", "ada", type="a"), direct("b1", "ada", type="b"))
    assert [(one.state.muted, one.state.read) for one in await kept(stores)] == [(True, True), (True, False)]
    assert await stores.inboxes.unread_by_type("ada") == {"b": 1}
    await check_counters(stores)


# --- unread notifications of muted types ------------------------------------------------------------------------


async def test_unread_notifications_of_muted_types_are_found_and_marked_read(stores: Stores) -> None:
    types = ("a", "b", "a", "z", "a")
    for user in ("ada", "bob", "eve"):
        await record(stores.store, *(direct(f"{user}{n}", user, type=type) for n, type in enumerate(types)))
    await stores.preferences.put("ada", Preferences(muted_types=("a", "z")), NOW)
    await stores.preferences.put("bob", Preferences(muted_types=("y",)), NOW)
    await stores.preferences.put("eve", Preferences(email_notifications=False), NOW)
    assert await stores.inboxes.find_muted_unread(None, 10) == MutedUnread(("ada",), None)
    marked = await stores.inboxes.mark_muted_read("ada", 3, later(1))
    assert [(one.seq, one.changed, one.kind, one.read) for one in marked.entries] == [
        (seq, 6, "read", True) for seq in (5, 4, 3)
    ]
    assert marked.head.unread == 2
    assert len((await stores.inboxes.mark_muted_read("ada", 3, later(1))).entries) == 1
    assert (await stores.inboxes.mark_muted_read("ada", 3, later(1))).entries == ()
    assert await stores.inboxes.find_muted_unread(None, 10) == MutedUnread((), None)
    assert await stores.inboxes.unread_by_type("ada") == {"b": 1}
    assert (await stores.inboxes.mark_muted_read("nobody", 3, later(1))).entries == ()
    assert (await stores.inboxes.mark_muted_read("eve", 3, later(1))).entries == ()
    for user in ("ada", "bob", "eve"):
        await check_counters(stores, user)


async def test_a_muted_notification_that_its_user_marked_unread_stays_unread(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(muted_types=("a",)), NOW)
    (entry,) = (await record(stores.store, direct("a1", "ada", type="a"))).entries
    await stores.inboxes.change("ada", entry.id, "unread", later(1))
    assert await stores.inboxes.find_muted_unread(None, 10) == MutedUnread((), None)
    assert (await stores.inboxes.mark_muted_read("ada", 10, later(2))).entries == ()
    assert (await head(stores)).unread == 1


async def test_users_with_muted_types_are_searched_in_pages(stores: Stores) -> None:
    users = [f"u{number}" for number in range(5)]
    await record(stores.store, direct("a1", *users[::2], type="a"))
    for user in users:
        await stores.preferences.put(user, Preferences(muted_types=("a",)), NOW)
    after, found = None, []
    for _ in range(10):
        page = await stores.inboxes.find_muted_unread(after, 2)
        found.append(page.users)
        after = page.next
        if after is None:
            break
    assert found == [("u0",), ("u2",), ("u4",)]


@pytest.mark.parametrize("nodes", [1, 3])
async def test_node_start_marks_muted_notifications_read_and_notifies_sessions(stores: Stores, nodes: int) -> None:
    backplane, counters, heard = MemoryBackplane(), Counters(), Heard()
    await backplane.open(heard)
    users = [f"u{number}" for number in range(7)]
    await backplane.subscribe([inbox_of(user) for user in users])
    await record(stores.store, *(direct(f"{n}", *users, type="ab"[n % 2]) for n in range(11)))
    for user in users[1:]:
        await stores.preferences.put(user, Preferences(muted_types=("a",)), NOW)
    pace = Pace(users=2, notifications=3, pause_s=0)
    clock = SystemClock()
    await asyncio.gather(*(MarkMutedRead(stores.inboxes, backplane, clock, counters, pace).run() for _ in range(nodes)))
    assert counters.marked == {"read": 36}
    assert len(heard.entries) == 36
    assert {entry.kind for entry in heard.entries} == {"read"}
    for user in users:
        assert await stores.inboxes.unread_by_type(user) == ({"b": 5} if user != "u0" else {"a": 6, "b": 5})
        await check_counters(stores, user)


class Heard:
    """A listener that records the entries it receives."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def arrived(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None: ...


@pytest.mark.parametrize("seed", range(3))
async def test_stored_counters_equal_counted_rows_after_random_operations(stores: Stores, seed: int) -> None:
    chance = random.Random(seed)
    for step in range(40):
        match chance.randrange(5):
            case 0:
                wishes = Preferences(
                    websocket_notifications=chance.random() < 0.5, muted_types=tuple(chance.sample("abc", 2))
                )
                await stores.preferences.put("ada", wishes, later(step))
            case 1:
                await stores.inboxes.mark_muted_read("ada", 2, later(step))
            case 2 if rows := await kept(stores):
                mark: StateChange = chance.choice(("read", "unread", "archived"))
                await stores.inboxes.change("ada", chance.choice(rows).id, mark, later(step))
            case _:
                events = [direct(f"{step}-{n}", "ada", type=chance.choice("abc")) for n in range(3)]
                await record(stores.store, *events, at=later(step))
        await check_counters(stores)


async def test_preferences_do_not_affect_a_feed(stores: Stores) -> None:
    wishes = Preferences(websocket_notifications=False, muted_types=("both.x", "news"))
    for user in ("ada", "news"):
        await stores.preferences.put(user, wishes, NOW)
    await record(stores.store, ("both.x", {"to": "ada"}, "n"))
    assert [one.muted for one in (await stores.store.arrivals("feed:news", 0, 10)).entries] == [False]
    assert await muted(stores) == {"n": True}


async def test_events_recorded_after_put_follow_it_under_concurrent_writes(stores: Stores) -> None:
    bound: set[str] = set()

    async def write(writer: int) -> None:
        for number in range(10):
            id = f"{writer}-{number}"
            if wished.is_set():
                bound.add(id)
            await record(stores.store, direct(id, "ada", type="a"))
            await asyncio.sleep(0)

    async def wish() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await stores.preferences.put("ada", Preferences(muted_types=("a",)), NOW)
        wished.set()

    wished = asyncio.Event()
    await asyncio.gather(write(1), write(2), wish(), write(3))
    await write(4)
    found = await muted(stores)
    assert len(found) == 40
    assert bound
    assert all(found[id] for id in bound)
