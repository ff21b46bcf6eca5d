"""The memory store's own promise: it is bounded, by count and by bytes, and says what it keeps no more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clock import Uuid7Factory
from adapters.memory.store import Limits, MemoryStore
from domain.planning import plan
from domain.positions import Head
from tests.support.core import NOW, message, table

ROUTES = table()


async def record(store: MemoryStore, *sent: tuple[str, str, int]) -> None:
    """Records events of (recipient, id, bytes); `news` is the feed, `bad` nobody's."""
    plans = []
    for to, id, size in sent:
        source = {"news": "news", "bad": "nowhere"}.get(to, "direct")
        plans.append(plan(message(source, {"to": to, "text": "x" * size}, id), ROUTES))
    await store.record(plans, NOW)


async def kept(store: MemoryStore, stream: str) -> tuple[Head, list[int]]:
    page = await store.arrivals(stream, 0, 10_000)
    return page.head, [entry.seq for entry in page.entries]


def bounded(**limits: int) -> MemoryStore:
    return MemoryStore(Uuid7Factory(), Limits(**limits))


async def test_a_stream_keeps_its_newest_and_says_what_is_gone() -> None:
    store = bounded(entries_per_stream=3)
    await record(store, *(("ada", f"e{n}", 1) for n in range(5)), ("bob", "e0", 1))
    assert await kept(store, "inbox:ada") == (Head(5, 2), [3, 4, 5])
    assert await kept(store, "inbox:bob") == (Head(1, 0), [1])
    page = await store.arrivals("inbox:ada", 1, 2)
    assert ([entry.seq for entry in page.entries], page.upto, page.head.pruned) == ([3, 4], 4, 2)


async def test_beyond_the_bytes_the_oldest_of_all_go() -> None:
    store = bounded(bytes=20_000)
    await record(store, ("ada", "a", 4000), ("bob", "b", 4000), ("ada", "c", 4000))
    await record(store, ("news", "d", 4000), ("news", "e", 4000))
    assert await kept(store, "inbox:ada") == (Head(2, 1), [2])
    assert await kept(store, "inbox:bob") in [(Head(1, 0), [1]), (Head(1, 1), [])]
    assert await kept(store, "feed:news") == (Head(2, 0), [1, 2])


async def test_an_event_that_is_larger_than_everything_is_numbered_and_gone_and_others_stay_possible() -> None:
    store = bounded(bytes=20_000)
    await record(store, ("ada", "a", 30_000))
    assert await kept(store, "inbox:ada") == (Head(1, 1), [])
    await record(store, ("ada", "b", 10))
    assert await kept(store, "inbox:ada") == (Head(2, 1), [2])


async def test_the_epoch_of_another_store_is_another() -> None:
    assert await bounded().epoch() != await bounded().epoch()


async def test_dead_letters_are_bounded_by_count() -> None:
    store = bounded(dead_letters=3)
    await record(store, *(("bad", f"x{n}", 1) for n in range(9)))
    assert [one.letter.event_id for one in await store.dead_letters(99)] == ["x8", "x7", "x6"]


async def test_dead_letters_do_not_push_out_what_comes_after_them() -> None:
    store = bounded(bytes=100_000)
    await record(store, *(("bad", f"x{n}", 5000) for n in range(50)))
    await record(store, *(("ada", f"e{n}", 100) for n in range(10)))
    head, seqs = await kept(store, "inbox:ada")
    assert (head, len(seqs)) == (Head(10, 0), 10)


async def test_dead_letters_do_not_push_out_what_was_there_before_them() -> None:
    store = bounded(bytes=100_000)
    await record(store, *(("ada", f"e{n}", 100) for n in range(10)))
    await record(store, *(("bad", f"x{n}", 5000) for n in range(50)))
    assert len((await kept(store, "inbox:ada"))[1]) == 10


@pytest.mark.parametrize("text", ["😀", "é"])
async def test_an_entry_weighs_what_it_occupies(text: str) -> None:
    store = bounded()
    await store.record([plan(message("direct", f'{{"to":"ada","text":"{text * 10_000}"}}'), ROUTES)], NOW)
    entry = (await store.arrivals("inbox:ada", 0, 1)).entries[0]
    assert entry.weight >= entry.content.body.__sizeof__()


SENT = st.tuples(st.sampled_from(["ada", "bob", "news", "bad"]), st.integers(0, 40).map(str), st.integers(0, 2000))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(SENT, max_size=6), max_size=12), st.integers(1, 5), st.integers(1_000, 20_000))
async def test_whatever_comes_the_store_stays_within_its_limits_and_tells_the_truth(
    batches: list[list[tuple[str, str, int]]], entries: int, size: int
) -> None:
    store = bounded(entries_per_stream=entries, bytes=size, dead_letters=4)
    before = {}
    for batch in batches:
        await record(store, *batch)
        weight = 0
        for stream in ("inbox:ada", "inbox:bob", "feed:news"):
            head, seqs = await kept(store, stream)
            assert seqs == list(range(head.pruned + 1, head.last + 1))
            assert len(seqs) <= entries
            last = before.get(stream, Head())
            assert head.last >= last.last
            assert head.pruned >= last.pruned
            before[stream] = head
            weight += sum(entry.weight for entry in (await store.arrivals(stream, 0, 100)).entries)
        assert len(await store.dead_letters(99)) <= 4
        assert weight <= size
