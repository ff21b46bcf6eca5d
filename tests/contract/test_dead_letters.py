"""The DeadLetters port, on every adapter, and how dead letters are stored."""

import asyncio
from datetime import datetime
from uuid import uuid4

import msgspec
import pytest

from application.ports.dead_letters import DeadLetterFilter, KeptDeadLetter
from application.ports.store import Recorded, Store
from domain.broker_messages import Message
from domain.plans import DeadLetter, Plan
from tests.support.core import NOW, message
from tests.support.stores import Stores, direct, later, record


def letter(
    id: str, reason: str = "broken", detail: str = "It broke.", *, source: str = "s", origin: str | None = None
) -> DeadLetter:
    return DeadLetter(message(source, b"{}", id), origin or source, id, reason, detail)


async def keep(store: Store, *letters: DeadLetter, at: datetime = NOW) -> Recorded:
    return await store.record([Plan(one.origin, one.event_id, dead_letter=one) for one in letters], at)


async def series(stores: Stores, count: int) -> None:
    """Store the dead letters x1 at NOW + 1 s, x2 at NOW + 2 s and so on."""
    for number in range(1, count + 1):
        await keep(stores.store, letter(f"x{number}"), at=later(number))


def ids(letters: tuple[KeptDeadLetter, ...]) -> list[str]:
    return [one.letter.event_id for one in letters]


# --- storing --------------------------------------------------------------------------------------------------


async def test_a_dead_letter_keeps_the_message_unchanged(stores: Stores) -> None:
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
async def test_a_dead_letter_is_stored_whatever_text_it_contains(stores: Stores, text: str) -> None:
    """Dead letters are the last resort for events that cannot be stored, so they accept any text."""
    odd = Message("s", b"\0\xff", NOW, f"id{text}", {"h": text}, text)
    for _ in range(2):
        await keep(stores.store, DeadLetter(odd, "s", f"id{text}", "unstorable_text", f"It holds {text}"), letter("y"))
    second, first = await stores.dead_letters.newest(10)
    assert (first.times, second.times, second.letter) == (2, 2, letter("y"))
    assert (first.letter.message.source, first.letter.message.body, first.letter.reason) == (
        "s", b"\0\xff", "unstorable_text",
    )  # fmt: skip


async def test_an_event_has_one_dead_letter(stores: Stores) -> None:
    first = await keep(stores.store, letter("x"), letter("x"), letter("x", origin="other"), letter("x", source="t"))
    assert (len(first.dead_letters), first.duplicates) == (3, 1)
    again = await keep(stores.store, letter("x"), at=later(1))
    assert (again.dead_letters, again.duplicates) == ((), 1)
    assert sorted((one.letter.origin, one.times, one.kept_at) for one in await stores.dead_letters.newest(10)) == [
        ("other", 1, NOW),
        ("s", 3, NOW),
        ("t", 1, NOW),
    ]


async def test_a_repeated_dead_letter_has_the_latest_reason(stores: Stores) -> None:
    await keep(stores.store, letter("x", "first", "One."), letter("y", "first"))
    (y, x) = await stores.dead_letters.newest(10)
    await keep(stores.store, letter("x", "second", "Two."), letter("x", "third", "Three."), at=later(5))
    latest = await stores.dead_letters.get(x.id)
    assert latest == KeptDeadLetter(x.id, NOW, letter("x", "third", "Three."), 3)
    assert await stores.dead_letters.newest(10) == (y, latest)
    assert ids(await stores.dead_letters.newest(10, DeadLetterFilter(reason="third"))) == ["x"]
    assert ids(await stores.dead_letters.newest(10, DeadLetterFilter(reason="first"))) == ["y"]


async def test_a_repeated_dead_letter_with_another_message_keeps_the_latest_message(stores: Stores) -> None:
    first = DeadLetter(Message("here", b"1", NOW, "x", {"h": "1"}, "k"), "shop", "x", "broken", "")
    second = DeadLetter(Message("here", b"22", later(3), "x"), "shop", "x", "empty", "Two.")
    await keep(stores.store, first)
    await keep(stores.store, second, at=later(5))
    (kept,) = await stores.dead_letters.newest(10, DeadLetterFilter(reason="empty"))
    assert kept == KeptDeadLetter(kept.id, NOW, second, 2)
    assert await stores.dead_letters.newest(10, DeadLetterFilter(reason="broken")) == ()


async def test_several_dead_letters_are_read_by_id(stores: Stores) -> None:
    await keep(stores.store, letter("x", "first"), letter("y", "first"), letter("z", "first"))
    (z, y, _) = await stores.dead_letters.newest(10)
    assert await stores.dead_letters.some([y.id, uuid4(), z.id]) == {y.id: y, z.id: z}
    assert await stores.dead_letters.some([]) == {}


async def test_a_dead_letter_does_not_make_notifications_of_the_event_duplicates(stores: Stores) -> None:
    mixed = ("direct", {"to": ["ada", {}]}, "m")
    first = await record(stores.store, mixed)
    assert (len(first.entries), len(first.dead_letters), first.duplicates) == (1, 1, 0)
    again = await record(stores.store, mixed)
    assert (len(again.entries), len(again.dead_letters), again.duplicates) == (0, 0, 1)
    (kept,) = await stores.dead_letters.newest(10)
    assert kept.times == 2


async def test_concurrent_repeats_are_all_counted(stores: Stores) -> None:
    made = await asyncio.gather(*(keep(stores.store, letter("x"), letter(f"y{n}")) for n in range(8)))
    assert sum(len(one.dead_letters) for one in made) == 9
    assert sum(one.duplicates for one in made) == 7
    assert {one.letter.event_id: one.times for one in await stores.dead_letters.newest(100)} == {
        "x": 8, **{f"y{n}": 1 for n in range(8)},
    }  # fmt: skip


# --- listing --------------------------------------------------------------------------------------------------


async def test_dead_letters_are_listed_newest_first_up_to_a_limit(stores: Stores) -> None:
    assert await stores.dead_letters.newest(10) == ()
    assert await stores.dead_letters.count(DeadLetterFilter()) == 0
    await keep(stores.store, *(letter(f"x{n}") for n in range(5)))
    assert ids(await stores.dead_letters.newest(3)) == ["x4", "x3", "x2"]
    assert ids(await stores.dead_letters.newest(9)) == ["x4", "x3", "x2", "x1", "x0"]
    assert await stores.dead_letters.count(DeadLetterFilter()) == 5
    assert await stores.dead_letters.get(uuid4()) is None


async def test_dead_letter_pages_are_stable_while_dead_letters_are_added_and_dropped(stores: Stores) -> None:
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
async def test_dead_letters_are_filtered(stores: Stores, choice: DeadLetterFilter, seen: list[str]) -> None:
    # The filter compares the source of the message; the origin may differ from it.
    rows = [("a", "one", "bad"), ("b", "two", "worse"), ("c", "one", "worse"), ("d", "two", "bad")]
    for seconds, (id, source, reason) in enumerate(rows, 1):
        await keep(stores.store, letter(id, reason, source=source, origin="origin"), at=later(seconds))
    assert ids(await stores.dead_letters.newest(10, choice)) == seen
    assert ids(await stores.dead_letters.newest(1, choice)) == seen[:1]
    assert await stores.dead_letters.count(choice) == len(seen)


# --- dropping -------------------------------------------------------------------------------------------------


async def test_dropping_removes_the_given_dead_letters_only(stores: Stores) -> None:
    await series(stores, 4)
    x4, x3, x2, x1 = await stores.dead_letters.newest(10)
    assert await stores.dead_letters.drop([]) == 0
    assert await stores.dead_letters.drop([x3, x1]) == 2
    assert await stores.dead_letters.newest(10) == (x4, x2)
    assert await stores.dead_letters.get(x3.id) is None
    assert await stores.dead_letters.drop([x3, x1, msgspec.structs.replace(x2, id=uuid4())]) == 0
    assert await stores.dead_letters.drop([x1, x2]) == 1
    assert await stores.dead_letters.newest(10) == (x4,)


async def test_a_dead_letter_that_failed_again_since_it_was_read_is_not_dropped(stores: Stores) -> None:
    await series(stores, 2)
    x2, x1 = await stores.dead_letters.newest(10)
    await keep(stores.store, letter("x1", "again"), at=later(9))
    assert await stores.dead_letters.drop([x2, x1]) == 1
    (left,) = await stores.dead_letters.newest(10)
    assert (left.id, left.times, left.letter.reason) == (x1.id, 2, "again")
    assert await stores.dead_letters.drop([left]) == 1
    assert await stores.dead_letters.newest(10) == ()


async def test_an_event_whose_dead_letter_was_dropped_can_fail_again(stores: Stores) -> None:
    await series(stores, 1)
    (dropped,) = await stores.dead_letters.newest(10)
    await stores.dead_letters.drop([dropped])
    again = await keep(stores.store, letter("x1"), at=later(9))
    assert (len(again.dead_letters), again.duplicates) == (1, 0)
    (kept,) = await stores.dead_letters.newest(10)
    assert (kept.times, kept.kept_at) == (1, later(9))
    assert kept.id != dropped.id


async def test_concurrent_drops_count_each_dead_letter_once(stores: Stores) -> None:
    await series(stores, 6)
    letters = await stores.dead_letters.newest(10)
    made = await asyncio.gather(*(stores.dead_letters.drop(some) for some in (letters, letters[::-1], letters[2:])))
    assert sum(made) == 6
    assert await stores.dead_letters.count(DeadLetterFilter()) == 0


async def test_an_event_that_fails_while_its_dead_letter_is_dropped_keeps_a_dead_letter(stores: Stores) -> None:
    await series(stores, 4)
    letters = await stores.dead_letters.newest(10)
    repeats = [letter(f"x{n}", "again") for n in range(1, 5)]
    dropped, *_ = await asyncio.gather(
        stores.dead_letters.drop(letters), *(keep(stores.store, one, at=later(9)) for one in repeats)
    )
    left = await stores.dead_letters.newest(10)
    # Drop first: a new dead letter is stored. Repeat first: the drop leaves the dead letter.
    assert sorted(ids(left)) == ["x1", "x2", "x3", "x4"]
    assert {one.letter.reason for one in left} == {"again"}
    assert sum(one.times == 2 for one in left) == 4 - dropped


async def test_dropping_a_dead_letter_changes_no_stream(stores: Stores) -> None:
    await record(stores.store, direct("a", "ada"), ("nowhere", {}, "x"))
    before = await stores.store.heads(["inbox:ada"])
    await stores.dead_letters.drop(await stores.dead_letters.newest(10))
    assert await stores.store.heads(["inbox:ada"]) == before
