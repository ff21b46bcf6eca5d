"""The Store port, on every adapter. A store joins by one line in `STORES`: how to open an empty one."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from adapters.clock import Uuid7Factory
from adapters.memory.store import MemoryStore
from application.ports.store import Recorded, Store
from domain.planning import plan
from domain.positions import Head
from domain.streams import Entry
from tests.support.core import NOW, message, table

ROUTES = table(
    """
profile = "trading"
[feeds.news]
access = "public"
[feeds.rest]
access = "public"
[[routes]]
source = "direct"
users = ["to"]
otherwise = "drop"
[[routes]]
source = "both.#"
users = ["to"]
otherwise = "drop"
[[routes]]
source = "both.#"
feed = "news"
[[routes]]
source = "rest"
feed = "rest"
[[routes]]
source = "bye"
sign_out = "user_id"
"""
)


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    yield MemoryStore(Uuid7Factory())


STORES: dict[str, Callable[[], AbstractAsyncContextManager[Store]]] = {"memory": memory}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param]() as opened:
        yield opened


async def record(store: Store, *events: tuple[str, Any, str]) -> Recorded:
    return await store.record([plan(message(*event), ROUTES) for event in events], NOW)


def direct(id: str, *to: str) -> tuple[str, Any, str]:
    return "direct", {"to": list(to), "text": id}, id


def names(entries: Sequence[Entry]) -> list[tuple[str, int, str]]:
    return [(entry.stream, entry.seq, entry.content.event_id) for entry in entries]


async def whole(store: Store, stream: str) -> list[tuple[int, str]]:
    page = await store.arrivals(stream, 0, 1_000_000)
    return [(entry.seq, entry.content.event_id) for entry in page.entries]


# --- numbering ------------------------------------------------------------------------------------------------


async def test_streams_are_numbered_each_for_itself_without_gaps(store: Store) -> None:
    first = await record(store, direct("a", "ada", "bob"), ("both.x", {"to": "ada"}, "b"), ("rest", {}, "c"))
    assert sorted(names(first.entries)) == [
        ("feed:news", 1, "b"),
        ("feed:rest", 1, "c"),
        ("inbox:ada", 1, "a"),
        ("inbox:ada", 2, "b"),
        ("inbox:bob", 1, "a"),
    ]
    second = await record(store, direct("d", "bob"), direct("e", "ada"), direct("f", "ada"))
    assert sorted(names(second.entries)) == [("inbox:ada", 3, "e"), ("inbox:ada", 4, "f"), ("inbox:bob", 2, "d")]
    assert await whole(store, "inbox:ada") == [(1, "a"), (2, "b"), (3, "e"), (4, "f")]


async def test_new_entries_of_a_stream_are_told_in_the_order_of_their_seq(store: Store) -> None:
    recorded = await record(store, *(direct(f"e{n}", "ada", "bob") for n in range(50)))
    for stream in ("inbox:ada", "inbox:bob"):
        own = [entry for entry in recorded.entries if entry.stream == stream]
        assert [entry.seq for entry in own] == list(range(1, 51))
        assert [entry.content.event_id for entry in own] == [f"e{n}" for n in range(50)]


async def test_an_entry_is_read_back_as_it_was_recorded(store: Store) -> None:
    recorded = await record(store, direct("a", "ada"), ("both.x", {"to": "ada", "n": 1.5, "t": "é😀\n"}, "b"))
    for entry in recorded.entries:
        page = await store.arrivals(entry.stream, entry.seq - 1, 1)
        assert page.entries == (entry,)
        assert (entry.changed, entry.kind, entry.read, entry.muted) == (entry.seq, "arrival", False, False)
        assert entry.stored_at == NOW
    assert len({entry.id for entry in recorded.entries}) == len(recorded.entries)
    assert [entry.unread for entry in recorded.entries if entry.stream == "inbox:ada"] == [1, 2]
    assert [entry.unread for entry in recorded.entries if entry.stream == "feed:news"] == [0]


async def test_nothing_recorded_changes_nothing(store: Store) -> None:
    assert await store.record([], NOW) == Recorded((), (), (), 0)
    assert await record(store, direct("a")) == Recorded((), (), (), 0)
    assert await store.heads(["inbox:ada"]) == {"inbox:ada": Head(0, 0)}


@pytest.mark.parametrize("seed", range(3))
async def test_many_writers_and_readers_at_once_see_no_gap_and_no_repeat(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    users = [f"u{number}" for number in range(5)]
    writing = True

    async def write(writer: int) -> None:
        for number in range(20):
            await asyncio.sleep(0)
            ids = [f"{writer}-{number}-{part}" for part in range(3)]
            events = [direct(id, *chance.sample(users, 3)) for id in ids]
            # A third of the batches holds what another writer may be storing at this moment.
            events += [("both.x", {"to": users}, f"shared-{number}-{chance.randrange(2)}")]
            await record(store, *events)

    async def read(stream: str) -> None:
        seen = 0
        while writing:
            await asyncio.sleep(0)
            head = (await store.heads([stream]))[stream]
            assert head.last >= seen
            page = await store.arrivals(stream, seen, chance.choice([1, 7, 1000]))
            assert page.head.last >= head.last
            assert [entry.seq for entry in page.entries] == list(range(seen + 1, page.upto + 1))
            seen = page.upto

    readers = [asyncio.create_task(read(stream)) for stream in [*(f"inbox:{user}" for user in users), "feed:news"]]
    await asyncio.gather(*(write(writer) for writer in range(8)))
    writing = False
    await asyncio.gather(*readers)
    for stream in [*(f"inbox:{user}" for user in users), "feed:news"]:
        kept = await whole(store, stream)
        assert [seq for seq, _ in kept] == list(range(1, len(kept) + 1))
        assert len({id for _, id in kept}) == len(kept)
        assert (await store.heads([stream]))[stream] == Head(len(kept), 0)


# --- once -----------------------------------------------------------------------------------------------------


async def test_an_event_enters_a_stream_once_within_a_batch(store: Store) -> None:
    recorded = await record(store, direct("a", "ada"), direct("a", "ada"), direct("b", "ada"), direct("a", "ada"))
    assert names(recorded.entries) == [("inbox:ada", 1, "a"), ("inbox:ada", 2, "b")]
    assert recorded.duplicates == 2


async def test_an_event_enters_a_stream_once_across_batches(store: Store) -> None:
    first = await record(store, direct("a", "ada", "bob"), ("both.x", {}, "n"))
    again = await record(store, direct("a", "ada", "bob"), ("both.x", {}, "n"), direct("b", "ada"))
    assert len(first.entries) == 3
    assert names(again.entries) == [("inbox:ada", 2, "b")]
    assert again.duplicates == 2


async def test_a_known_event_reaches_whom_it_had_not_reached(store: Store) -> None:
    await record(store, direct("a", "ada"), direct("b", "ada"))
    more = await record(store, direct("a", "ada", "bob"), direct("a", "eve"))
    assert names(more.entries) == [("inbox:bob", 1, "a"), ("inbox:eve", 1, "a")]
    assert more.duplicates == 0


async def test_events_are_the_same_by_origin_and_id_only(store: Store) -> None:
    recorded = await record(
        store, ("both.x", {}, "a"), ("both.y", {}, "a"), ("both.x", {"other": 1}, "a"), ("rest", {}, "a")
    )
    assert names(recorded.entries) == [("feed:news", 1, "a"), ("feed:news", 2, "a"), ("feed:rest", 1, "a")]
    assert recorded.duplicates == 1


async def test_concurrent_repeats_are_stored_once(store: Store) -> None:
    made = await asyncio.gather(*(record(store, direct("a", "ada", "bob"), direct("b", "bob")) for _ in range(10)))
    assert sum(len(one.entries) for one in made) == 3
    assert sum(one.duplicates for one in made) == 18


# --- dead letters ---------------------------------------------------------------------------------------------


async def test_a_bad_event_becomes_a_dead_letter_and_the_others_are_stored(store: Store) -> None:
    events: list[tuple[str, Any, str]] = [direct(f"e{n}", "ada") for n in range(20)]
    events[7] = ("direct", b"\xff", "bad")
    events[9] = ("nowhere", {}, "lost")
    recorded = await record(store, *events)
    assert [letter.event_id for letter in recorded.dead_letters] == ["bad", "lost"]
    assert [id for _, id in await whole(store, "inbox:ada")] == [f"e{n}" for n in range(20) if n not in (7, 9)]
    kept = await store.dead_letters(10)
    assert [(one.letter.event_id, one.letter.reason, one.kept_at) for one in kept] == [
        ("lost", "no_route", NOW),
        ("bad", "not_utf8", NOW),
    ]
    assert kept[1].letter == recorded.dead_letters[0]
    assert kept[1].letter.message.body == b"\xff"


async def test_there_is_one_dead_letter_of_an_event(store: Store) -> None:
    first = await record(store, ("nowhere", {}, "x"), ("nowhere", {}, "x"), ("elsewhere", {}, "x"))
    again = await record(store, ("nowhere", {}, "x"))
    assert (len(first.dead_letters), first.duplicates) == (2, 1)
    assert (len(again.dead_letters), again.duplicates) == (0, 1)
    assert len(await store.dead_letters(10)) == 2


async def test_dead_letters_are_listed_newest_first_up_to_a_limit(store: Store) -> None:
    assert await store.dead_letters(10) == ()
    await record(store, *(("nowhere", {}, f"x{n}") for n in range(5)))
    assert [one.letter.event_id for one in await store.dead_letters(3)] == ["x4", "x3", "x2"]
    assert len({one.id for one in await store.dead_letters(9)}) == 5


# --- sign-outs ------------------------------------------------------------------------------------------------


def bye(minutes: float, id: str, user: str = "ada") -> tuple[str, Any, str]:
    return "bye", {"user_id": user, "timestamp": (NOW - timedelta(minutes=minutes)).isoformat()}, id


async def test_a_sign_out_only_grows(store: Store) -> None:
    assert await store.not_before("ada") is None
    first = await record(store, bye(10, "a"))
    assert [(one.user, one.not_before) for one in first.sign_outs] == [("ada", NOW - timedelta(minutes=10))]
    assert (await record(store, bye(20, "b"))).sign_outs == ()
    assert (await record(store, bye(10, "a"))).sign_outs == ()
    assert await store.not_before("ada") == NOW - timedelta(minutes=10)
    assert len((await record(store, bye(5, "c"))).sign_outs) == 1
    assert await store.not_before("ada") == NOW - timedelta(minutes=5)
    assert await store.not_before("bob") is None


async def test_a_sign_out_takes_no_position_and_shows_in_the_head(store: Store) -> None:
    await record(store, bye(10, "a"), direct("d", "bob"), bye(3, "b", "bob"))
    heads = await store.heads(["inbox:ada", "inbox:bob", "inbox:eve", "feed:ada"])
    assert heads == {
        "inbox:ada": Head(0, 0, NOW - timedelta(minutes=10)),
        "inbox:bob": Head(1, 0, NOW - timedelta(minutes=3)),
        "inbox:eve": Head(0, 0),
        "feed:ada": Head(0, 0),
    }


# --- reading --------------------------------------------------------------------------------------------------


async def test_a_stream_that_was_never_written_is_empty(store: Store) -> None:
    assert await store.heads([]) == {}
    assert await store.heads(["inbox:nobody", "feed:none"]) == {"inbox:nobody": Head(0, 0), "feed:none": Head(0, 0)}
    for read in (store.arrivals, store.changes):
        page = await read("feed:none", 0, 10)
        assert (page.entries, page.upto, page.head) == ((), 0, Head(0, 0))


@pytest.mark.parametrize("way", ["arrivals", "changes"])
@pytest.mark.parametrize("limit", [1, 3, 10, 11, 1000])
async def test_pages_follow_one_another_to_the_head(store: Store, way: str, limit: int) -> None:
    await record(store, *(direct(f"e{n}", "ada", "bob") for n in range(1, 11)))
    read = getattr(store, way)
    after, seen = 0, []
    for _ in range(20):
        page = await read("inbox:ada", after, limit)
        assert page.head == Head(10, 0)
        assert all(after < entry.changed <= page.upto for entry in page.entries)
        seen += [entry.content.event_id for entry in page.entries]
        if page.upto == page.head.last:
            break
        assert page.upto > after
        after = page.upto
    assert seen == [f"e{n}" for n in range(1, 11)]


@pytest.mark.parametrize("way", ["arrivals", "changes"])
async def test_a_page_from_the_head_or_beyond_is_empty(store: Store, way: str) -> None:
    await record(store, *(direct(f"e{n}", "ada") for n in range(3)))
    read = getattr(store, way)
    page = await read("inbox:ada", 3, 10)
    assert (page.entries, page.upto, page.head) == ((), 3, Head(3, 0))
    page = await read("inbox:ada", 99, 10)
    assert (page.entries, page.head) == ((), Head(3, 0))


async def test_the_epoch_stays(store: Store) -> None:
    epoch = await store.epoch()
    await record(store, direct("a", "ada"))
    assert await store.epoch() == epoch
    assert epoch.isalnum()
    assert epoch.isascii()


async def test_a_store_that_works_answers_a_ping(store: Store) -> None:
    await store.ping()


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["a:b", "inbox:x", "ü", "😀", "a'b", 'a"b', "a b", "x" * 255, "%", "\\", "0"])
async def test_any_possible_user_has_an_inbox_of_their_own(store: Store, user: str) -> None:
    await record(store, direct("a", user), direct("b", "ada"), bye(1, "c", user))
    assert await whole(store, f"inbox:{user}") == [(1, "a")]
    assert (await store.heads([f"inbox:{user}"]))[f"inbox:{user}"] == Head(1, 0, NOW - timedelta(minutes=1))


@pytest.mark.parametrize("id", ["a'b", "😀", "x" * 512, "a\0b", " ", "%s"])
async def test_any_possible_id_names_an_event(store: Store, id: str) -> None:
    first, again = await record(store, direct(id, "ada")), await record(store, direct(id, "ada"))
    # What a database cannot hold becomes a dead letter; nothing is lost, and nothing comes twice.
    assert len(first.entries) + len(first.dead_letters) == 1
    assert (again.entries, again.dead_letters, again.duplicates) == ((), (), 1)
