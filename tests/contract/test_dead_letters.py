"""The DeadLetters port, on every adapter, and how dead letters get there."""

import asyncio
from datetime import datetime
from uuid import uuid4

import msgspec
import pytest

from application.ports.dead_letters import DeadLetterFilter, KeptDeadLetter
from application.ports.store import Recorded, Store
from domain.messages import Message
from domain.planning import DeadLetter, Plan
from tests.support.core import NOW, message
from tests.support.stores import Stores, direct, later, record


def letter(
    id: str, reason: str = "broken", detail: str = "It broke.", *, source: str = "s", origin: str | None = None
) -> DeadLetter:
    return DeadLetter(message(source, b"{}", id), origin or source, id, reason, detail)


async def keep(store: Store, *letters: DeadLetter, at: datetime = NOW) -> Recorded:
    return await store.record([Plan(one.origin, one.event_id, dead_letter=one) for one in letters], at)


async def series(stores: Stores, count: int) -> None:
    """x1 at NOW + 1 s, x2 …"""
    for number in range(1, count + 1):
        await keep(stores.store, letter(f"x{number}"), at=later(number))


def ids(letters: tuple[KeptDeadLetter, ...]) -> list[str]:
    return [one.letter.event_id for one in letters]


# --- keeping --------------------------------------------------------------------------------------------------


async def test_a_dead_letter_is_kept_as_it_came(stores: Stores) -> None:
    odd = Message("a.b'c", bytes(range(256)) * 20, later(-5), "ü😀", {"h": "ü", "": "%s"}, "key'\\")
    plain = Message("s", b"", NOW, "id")
    empty = Message("s", None, NOW, "none")
    letters = [
        DeadLetter(odd, "origin", "ü😀", "not_json", "Line 1\nLine 2: é"),
        DeadLetter(plain, "s", "id", "empty", ""),
        DeadLetter(empty, "s", "none", "tombstone", "x" * 5_000),
    ]
    recorded = await keep(stores.store, *letters)
    assert recorded == Recorded((), (), tuple(letters), ())
    kept = await stores.dead_letters.newest(10)
    assert [one.letter for one in kept] == letters[::-1]
    assert {(one.kept_at, one.times) for one in kept} == {(NOW, 1)}
    assert len({one.id for one in kept}) == 3
    for one in kept:
        assert await stores.dead_letters.get(one.id) == one


@pytest.mark.parametrize("text", ["a\0b", "\ufffe", "x" * 100_000])
async def test_no_text_keeps_a_dead_letter_from_being_kept(stores: Stores, text: str) -> None:
    """It is where events end that can't be stored: it must take what nothing else takes."""
    odd = Message("s", b"\0\xff", NOW, f"id{text}", {"h": text}, text)
    for _ in range(2):
        await keep(stores.store, DeadLetter(odd, "s", f"id{text}", "unstorable_text", f"It holds {text}"), letter("y"))
    second, first = await stores.dead_letters.newest(10)
    assert (first.times, second.times, second.letter) == (2, 2, letter("y"))
    assert (first.letter.message.source, first.letter.message.body, first.letter.reason) == (
        "s", b"\0\xff", "unstorable_text",
    )  # fmt: skip


async def test_there_is_one_dead_letter_of_an_event(stores: Stores) -> None:
    first = await keep(stores.store, letter("x"), letter("x"), letter("x", origin="other"), letter("x", source="t"))
    assert (len(first.dead_letters), first.duplicates) == (3, 1)
    again = await keep(stores.store, letter("x"), at=later(1))
    assert (again.dead_letters, again.duplicates) == ((), 1)
    assert sorted((one.letter.origin, one.times, one.kept_at) for one in await stores.dead_letters.newest(10)) == [
        ("other", 1, NOW),
        ("s", 3, NOW),
        ("t", 1, NOW),
    ]


async def test_one_that_comes_again_says_why_it_failed_last(stores: Stores) -> None:
    await keep(stores.store, letter("x", "first", "One."), letter("y", "first"))
    (y, x) = await stores.dead_letters.newest(10)
    await keep(stores.store, letter("x", "second", "Two."), letter("x", "third", "Three."), at=later(5))
    latest = await stores.dead_letters.get(x.id)
    assert latest == KeptDeadLetter(x.id, NOW, letter("x", "third", "Three."), 3)
    assert await stores.dead_letters.newest(10) == (y, latest)
    assert ids(await stores.dead_letters.newest(10, DeadLetterFilter(reason="third"))) == ["x"]
    assert ids(await stores.dead_letters.newest(10, DeadLetterFilter(reason="first"))) == ["y"]


async def test_of_one_that_comes_again_otherwise_the_latest_is_kept(stores: Stores) -> None:
    first = DeadLetter(Message("here", b"1", NOW, "x", {"h": "1"}, "k"), "shop", "x", "broken", "")
    second = DeadLetter(Message("here", b"22", later(3), "x"), "shop", "x", "empty", "Two.")
    await keep(stores.store, first)
    await keep(stores.store, second, at=later(5))
    (kept,) = await stores.dead_letters.newest(10, DeadLetterFilter(reason="empty"))
    assert kept == KeptDeadLetter(kept.id, NOW, second, 2)
    assert await stores.dead_letters.newest(10, DeadLetterFilter(reason="broken")) == ()


async def test_some_are_read_at_once(stores: Stores) -> None:
    await keep(stores.store, letter("x", "first"), letter("y", "first"), letter("z", "first"))
    (z, y, _) = await stores.dead_letters.newest(10)
    assert await stores.dead_letters.some([y.id, uuid4(), z.id]) == {y.id: y, z.id: z}
    assert await stores.dead_letters.some([]) == {}


async def test_a_dead_letter_beside_notifications_is_no_duplicate_of_them(stores: Stores) -> None:
    mixed = ("direct", {"to": ["ada", {}]}, "m")
    first = await record(stores.store, mixed)
    assert (len(first.entries), len(first.dead_letters), first.duplicates) == (1, 1, 0)
    again = await record(stores.store, mixed)
    assert (len(again.entries), len(again.dead_letters), again.duplicates) == (0, 0, 1)
    (kept,) = await stores.dead_letters.newest(10)
    assert kept.times == 2


async def test_repeats_at_once_are_all_counted(stores: Stores) -> None:
    made = await asyncio.gather(*(keep(stores.store, letter("x"), letter(f"y{n}")) for n in range(8)))
    assert sum(len(one.dead_letters) for one in made) == 9
    assert sum(one.duplicates for one in made) == 7
    assert {one.letter.event_id: one.times for one in await stores.dead_letters.newest(100)} == {
        "x": 8, **{f"y{n}": 1 for n in range(8)},
    }  # fmt: skip


# --- looking --------------------------------------------------------------------------------------------------


async def test_dead_letters_are_listed_newest_first_up_to_a_limit(stores: Stores) -> None:
    assert await stores.dead_letters.newest(10) == ()
    assert await stores.dead_letters.count(DeadLetterFilter()) == 0
    await keep(stores.store, *(letter(f"x{n}") for n in range(5)))
    assert ids(await stores.dead_letters.newest(3)) == ["x4", "x3", "x2"]
    assert ids(await stores.dead_letters.newest(9)) == ["x4", "x3", "x2", "x1", "x0"]
    assert await stores.dead_letters.count(DeadLetterFilter()) == 5
    assert await stores.dead_letters.get(uuid4()) is None


async def test_dead_letters_are_paged_whatever_comes_and_goes(stores: Stores) -> None:
    await series(stores, 6)
    first = await stores.dead_letters.newest(2)
    await keep(stores.store, letter("new"), letter("x3"), at=later(50))
    assert await stores.dead_letters.drop(first) == 2
    second = await stores.dead_letters.newest(2, before=first[-1].id)
    third = await stores.dead_letters.newest(9, before=second[-1].id)
    assert (ids(first), ids(second), ids(third)) == (["x6", "x5"], ["x4", "x3"], ["x2", "x1"])
    assert await stores.dead_letters.newest(9, before=third[-1].id) == ()
    only = await stores.dead_letters.newest(9, DeadLetterFilter(end=later(3)), before=third[0].id)
    assert ids(only) == ["x1"]


@pytest.mark.parametrize(("choice", "seen"), [
    (DeadLetterFilter(), ["d", "c", "b", "a"]),
    (DeadLetterFilter(source="one"), ["c", "a"]),
    (DeadLetterFilter(source="ONE"), []),
    (DeadLetterFilter(source="%"), []),
    (DeadLetterFilter(source="origin"), []),
    (DeadLetterFilter(reason="bad"), ["d", "a"]),
    (DeadLetterFilter(source="one", reason="bad"), ["a"]),
    (DeadLetterFilter(start=later(2)), ["d", "c", "b"]),
    (DeadLetterFilter(end=later(2)), ["b", "a"]),
    (DeadLetterFilter(start=later(2), end=later(3)), ["c", "b"]),
    (DeadLetterFilter(start=later(2.000001), end=later(2.999999)), []),
    (DeadLetterFilter(source="one", start=later(2)), ["c"]),
])  # fmt: skip
async def test_dead_letters_are_looked_through_by_choice(
    stores: Stores, choice: DeadLetterFilter, seen: list[str]
) -> None:
    # The source is the message's; the origin may be another.
    rows = [("a", "one", "bad"), ("b", "two", "worse"), ("c", "one", "worse"), ("d", "two", "bad")]
    for seconds, (id, source, reason) in enumerate(rows, 1):
        await keep(stores.store, letter(id, reason, source=source, origin="origin"), at=later(seconds))
    assert ids(await stores.dead_letters.newest(10, choice)) == seen
    assert ids(await stores.dead_letters.newest(1, choice)) == seen[:1]
    assert await stores.dead_letters.count(choice) == len(seen)


# --- dropping -------------------------------------------------------------------------------------------------


async def test_what_is_dropped_is_gone_and_the_rest_stays(stores: Stores) -> None:
    await series(stores, 4)
    x4, x3, x2, x1 = await stores.dead_letters.newest(10)
    assert await stores.dead_letters.drop([]) == 0
    assert await stores.dead_letters.drop([x3, x1]) == 2
    assert await stores.dead_letters.newest(10) == (x4, x2)
    assert await stores.dead_letters.get(x3.id) is None
    assert await stores.dead_letters.drop([x3, x1, msgspec.structs.replace(x2, id=uuid4())]) == 0
    assert await stores.dead_letters.drop([x1, x2]) == 1
    assert await stores.dead_letters.newest(10) == (x4,)


async def test_one_that_has_come_again_meanwhile_stays(stores: Stores) -> None:
    await series(stores, 2)
    x2, x1 = await stores.dead_letters.newest(10)
    await keep(stores.store, letter("x1", "again"), at=later(9))
    assert await stores.dead_letters.drop([x2, x1]) == 1
    (left,) = await stores.dead_letters.newest(10)
    assert (left.id, left.times, left.letter.reason) == (x1.id, 2, "again")
    assert await stores.dead_letters.drop([left]) == 1
    assert await stores.dead_letters.newest(10) == ()


async def test_an_event_whose_dead_letter_was_dropped_may_fail_anew(stores: Stores) -> None:
    await series(stores, 1)
    (dropped,) = await stores.dead_letters.newest(10)
    await stores.dead_letters.drop([dropped])
    again = await keep(stores.store, letter("x1"), at=later(9))
    assert (len(again.dead_letters), again.duplicates) == (1, 0)
    (kept,) = await stores.dead_letters.newest(10)
    assert (kept.times, kept.kept_at) == (1, later(9))
    assert kept.id != dropped.id


async def test_of_those_who_drop_at_once_each_letter_counts_for_one(stores: Stores) -> None:
    await series(stores, 6)
    letters = await stores.dead_letters.newest(10)
    made = await asyncio.gather(*(stores.dead_letters.drop(some) for some in (letters, letters[::-1], letters[2:])))
    assert sum(made) == 6
    assert await stores.dead_letters.count(DeadLetterFilter()) == 0


async def test_none_that_fails_again_while_it_is_dropped_is_lost(stores: Stores) -> None:
    await series(stores, 4)
    letters = await stores.dead_letters.newest(10)
    repeats = [letter(f"x{n}", "again") for n in range(1, 5)]
    dropped, *_ = await asyncio.gather(
        stores.dead_letters.drop(letters), *(keep(stores.store, one, at=later(9)) for one in repeats)
    )
    left = await stores.dead_letters.newest(10)
    # Dropped first, it was kept anew; repeated first, it stayed.
    assert sorted(ids(left)) == ["x1", "x2", "x3", "x4"]
    assert {one.letter.reason for one in left} == {"again"}
    assert sum(one.times == 2 for one in left) == 4 - dropped


async def test_dropping_changes_no_stream(stores: Stores) -> None:
    await record(stores.store, direct("a", "ada"), ("nowhere", {}, "x"))
    before = await stores.store.heads(["inbox:ada"])
    await stores.dead_letters.drop(await stores.dead_letters.newest(10))
    assert await stores.store.heads(["inbox:ada"]) == before
