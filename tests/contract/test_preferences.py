"""The PreferencesStore port, on every adapter, and how preferences bind what is stored."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from domain.positions import Head
from domain.preferences import DEFAULT, LONGEST_TYPE, MOST_MUTED, Preferences
from tests.support.core import NOW
from tests.support.stores import Stores, check_counters, direct, kept, later, record


async def muted(stores: Stores, user: str = "ada") -> dict[str, bool]:
    return {one.content.event_id: one.muted for one in await kept(stores, user)}


# --- keeping --------------------------------------------------------------------------------------------------


async def test_who_has_set_none_has_the_default(stores: Stores) -> None:
    assert await stores.preferences.get("ada") == DEFAULT
    await stores.preferences.put("bob", Preferences(push_notifications=False), NOW)
    assert await stores.preferences.get("ada") == DEFAULT


@pytest.mark.parametrize("wishes", [
    Preferences(),
    Preferences(email_notifications=False),
    Preferences(push_notifications=False),
    Preferences(websocket_notifications=False),
    Preferences(False, False, False, ("b", "a")),
    Preferences(muted_types=("ü😀", "a'b", 'a"b', "{a,b}", "%", "\\", " ", "null", "x" * LONGEST_TYPE)),
    Preferences(muted_types=tuple(f"{'ü' * (LONGEST_TYPE - 3)}{n:03}" for n in range(MOST_MUTED))),
])  # fmt: skip
async def test_preferences_are_kept_as_they_were_put(stores: Stores, wishes: Preferences) -> None:
    at = NOW + timedelta(microseconds=123_456)
    put = await stores.preferences.put("ada", wishes, at)
    assert put == msgspec.structs.replace(wishes, updated_at=at)
    assert await stores.preferences.get("ada") == put


async def test_preferences_are_replaced_as_a_whole(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(False, False, False, ("a", "b")), later(1))
    await stores.preferences.put("ada", Preferences(muted_types=("c",), updated_at=later(99)), later(2))
    assert await stores.preferences.get("ada") == Preferences(muted_types=("c",), updated_at=later(2))
    await stores.preferences.put("ada", DEFAULT, later(3))
    assert await stores.preferences.get("ada") == Preferences(updated_at=later(3))


async def test_of_preferences_put_at_once_one_stands(stores: Stores) -> None:
    wishes = [Preferences(n % 2 == 0, n % 3 == 0, n % 5 == 0, (f"t{n}",)) for n in range(8)]
    put = await asyncio.gather(*(stores.preferences.put("ada", one, later(n)) for n, one in enumerate(wishes)))
    assert await stores.preferences.get("ada") in put


# --- binding --------------------------------------------------------------------------------------------------


async def test_a_muted_type_is_kept_and_marked_so_from_then_on(stores: Stores) -> None:
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


async def test_who_wants_nothing_live_has_everything_muted(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(websocket_notifications=False), NOW)
    await record(stores.store, direct("a", "ada", "bob", type="a"), direct("b", "ada", type="b"))
    assert await muted(stores) == {"a": True, "b": True}
    assert await muted(stores, "bob") == {"a": False}


async def test_mail_and_pushes_are_no_concern_of_the_inbox(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(email_notifications=False, push_notifications=False), NOW)
    await record(stores.store, direct("a", "ada"))
    assert await muted(stores) == {"a": False}


@pytest.mark.parametrize("type", ["ü😀", "a'b", "{a,b}", "a,b", "%", "x" * (LONGEST_TYPE - 1)])
async def test_types_are_muted_by_their_whole_name(stores: Stores, type: str) -> None:
    await stores.preferences.put("ada", Preferences(muted_types=(type,)), NOW)
    others = [type[:-1] or "other", type + "x", type.upper() if type.upper() != type else "b", "a"]
    await record(stores.store, direct("it", "ada", type=type), *(direct(f"n{n}", "ada", type=one)
                 for n, one in enumerate(others)))  # fmt: skip
    assert await muted(stores) == {"it": True, "n0": False, "n1": False, "n2": False, "n3": False}


async def test_what_is_muted_counts_takes_its_position_and_is_read_back_as_muted(stores: Stores) -> None:
    await stores.preferences.put("ada", Preferences(muted_types=("a",)), NOW)
    recorded = await record(stores.store, direct("a1", "ada", type="a"), direct("b1", "ada", type="b"))
    assert [(one.seq, one.unread) for one in recorded.entries] == [(1, 1), (2, 2)]
    assert await stores.store.heads(["inbox:ada"]) == {"inbox:ada": Head(2, 0, unread=2)}
    assert await stores.inboxes.unread_by_type("ada") == {"a": 1, "b": 1}
    marked = await stores.inboxes.mark("ada", recorded.entries[0].id, "read", later(1))
    assert marked is not None
    assert [one.muted for one in marked.entries] == [True]
    for read in (stores.store.arrivals, stores.store.changes):
        page = await read("inbox:ada", 0, 10)
        assert {one.content.event_id: one.muted for one in page.entries} == {"a1": True, "b1": False}
    await check_counters(stores)


async def test_a_feed_knows_no_preferences(stores: Stores) -> None:
    wishes = Preferences(websocket_notifications=False, muted_types=("both.x", "news"))
    for user in ("ada", "news"):
        await stores.preferences.put(user, wishes, NOW)
    await record(stores.store, ("both.x", {"to": "ada"}, "n"))
    assert [one.muted for one in (await stores.store.arrivals("feed:news", 0, 10)).entries] == [False]
    assert await muted(stores) == {"n": True}


async def test_what_is_recorded_after_put_is_bound_by_it_whoever_records_meanwhile(stores: Stores) -> None:
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
