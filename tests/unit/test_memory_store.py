"""Guarantees of the memory store only: it is limited by count and bytes, and reports what it has removed."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clock import Uuid7Factory
from adapters.memory.dead_letters import MemoryDeadLetters
from adapters.memory.inboxes import MemoryInboxes
from adapters.memory.retention import MemoryRetention
from adapters.memory.shared_records import Limits, MemoryRecords
from adapters.memory.store import MemoryStore
from application.ports.retention import Keep, Keeping
from domain.planning import plan
from domain.positions import Head
from tests.support.core import NOW, message, table

ROUTES = table()


async def record(records: MemoryRecords, *sent: tuple[str, str, int]) -> None:
    """Record events of (recipient, id, bytes). The recipient `news` is the feed; `bad` leads to a dead letter."""
    plans = []
    for to, id, size in sent:
        source = {"news": "news", "bad": "nowhere"}.get(to, "direct")
        plans.append(plan(message(source, {"to": to, "text": "x" * size}, id), ROUTES))
    await MemoryStore(records).record(plans, NOW)


async def kept(records: MemoryRecords, stream: str) -> tuple[Head, list[int]]:
    page = await MemoryStore(records).arrivals(stream, 0, 10_000)
    return page.head, [entry.seq for entry in page.entries]


def bounded(**limits: int) -> MemoryRecords:
    return MemoryRecords(Uuid7Factory(), Limits(**limits))


async def test_a_stream_keeps_its_newest_entries_and_reports_the_pruned_position() -> None:
    records = bounded(entries_per_stream=3)
    await record(records, *(("ada", f"e{n}", 1) for n in range(5)), ("bob", "e0", 1))
    assert await kept(records, "inbox:ada") == (Head(5, 2, unread=3), [3, 4, 5])
    assert await kept(records, "inbox:bob") == (Head(1, 0, unread=1), [1])
    page = await MemoryStore(records).arrivals("inbox:ada", 1, 2)
    assert ([entry.seq for entry in page.entries], page.upto, page.head.pruned) == ([3, 4], 4, 2)


async def test_above_the_byte_limit_the_oldest_entries_of_all_streams_are_removed() -> None:
    records = bounded(bytes=20_000)
    await record(records, ("ada", "a", 4000), ("bob", "b", 4000), ("ada", "c", 4000))
    await record(records, ("news", "d", 4000), ("news", "e", 4000))
    assert await kept(records, "inbox:ada") == (Head(2, 1, unread=1), [2])
    assert await kept(records, "inbox:bob") in [(Head(1, 0, unread=1), [1]), (Head(1, 1), [])]
    assert await kept(records, "feed:news") == (Head(2, 0), [1, 2])


async def test_an_event_above_the_byte_limit_is_numbered_and_removed_and_later_ones_are_stored() -> None:
    records = bounded(bytes=20_000)
    await record(records, ("ada", "a", 30_000))
    assert await kept(records, "inbox:ada") == (Head(1, 1), [])
    await record(records, ("ada", "b", 10))
    assert await kept(records, "inbox:ada") == (Head(2, 1, unread=1), [2])


async def test_each_store_has_its_own_epoch() -> None:
    assert bounded().epoch != bounded().epoch


async def test_dead_letters_are_limited_by_count() -> None:
    records = bounded(dead_letters=3)
    await record(records, *(("bad", f"x{n}", 1) for n in range(9)))
    assert [one.letter.event_id for one in await MemoryDeadLetters(records).newest(99)] == ["x8", "x7", "x6"]


async def test_dead_letters_do_not_displace_later_entries() -> None:
    records = bounded(bytes=100_000)
    await record(records, *(("bad", f"x{n}", 5000) for n in range(50)))
    await record(records, *(("ada", f"e{n}", 100) for n in range(10)))
    head, seqs = await kept(records, "inbox:ada")
    assert (head, len(seqs)) == (Head(10, 0, unread=10), 10)


async def test_dead_letters_do_not_displace_earlier_entries() -> None:
    records = bounded(bytes=100_000)
    await record(records, *(("ada", f"e{n}", 100) for n in range(10)))
    await record(records, *(("bad", f"x{n}", 5000) for n in range(50)))
    assert len((await kept(records, "inbox:ada"))[1]) == 10


@pytest.mark.parametrize("text", ["😀", "é"])
async def test_the_weight_of_an_entry_covers_its_size_in_memory(text: str) -> None:
    records = bounded()
    await MemoryStore(records).record(
        [plan(message("direct", f'{{"to":"ada","text":"{text * 10_000}"}}'), ROUTES)], NOW
    )
    entry = (await MemoryStore(records).arrivals("inbox:ada", 0, 1)).entries[0]
    assert entry.weight >= entry.content.body.__sizeof__()


async def test_pruned_entries_free_memory_for_others() -> None:
    records = bounded(bytes=30_000)
    await record(records, *(("ada", f"a{n}", 4000) for n in range(3)), ("bob", "b", 4000))
    keep = Keep(timedelta(days=1), 1)
    assert (await MemoryRetention(records).prune(Keeping(keep, keep, keep, keep), NOW)).notifications == 2
    await record(records, *(("news", f"n{n}", 4000) for n in range(3)))
    assert [len((await kept(records, name))[1]) for name in ("inbox:ada", "inbox:bob", "feed:news")] == [1, 1, 3]
    await record(records, ("news", "n3", 4000), ("news", "n4", 4000))
    assert [len((await kept(records, name))[1]) for name in ("inbox:ada", "inbox:bob", "feed:news")] == [0, 1, 5]


STREAMS = ("inbox:ada", "inbox:bob", "feed:news")
SENT = st.tuples(st.sampled_from(["ada", "bob", "news", "bad"]), st.integers(0, 40).map(str), st.integers(0, 2000))
ACTS = st.lists(
    st.tuples(st.sampled_from(["read", "archived", "pruned", "seen"]), st.integers(1, 60), st.integers(1, 4)),
    max_size=3,
)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.lists(SENT, max_size=6), ACTS), max_size=12), st.integers(1, 5), st.integers(1_000, 20_000)
)
async def test_random_operations_stay_within_the_limits_and_keep_heads_correct(
    batches: list[tuple[list[tuple[str, str, int]], list[tuple[Any, int, int]]]], entries: int, size: int
) -> None:
    records = bounded(entries_per_stream=entries, bytes=size, dead_letters=4)
    store, inboxes = MemoryStore(records), MemoryInboxes(records)
    before = {}
    for batch, acts in batches:
        await record(records, *batch)
        for act, upto, count in acts:
            if act == "pruned":
                keep = Keep(timedelta(days=1), count)
                await MemoryRetention(records).prune(Keeping(keep, keep, keep, keep), NOW, limit=2)
            elif act == "seen":
                await inboxes.see("ada", upto)
            else:
                await inboxes.change_all("ada", act, upto, count, NOW)
        weight = 0
        for stream in STREAMS:
            head, seqs = await kept(records, stream)
            assert seqs == sorted(set(seqs))
            assert all(head.pruned < seq <= head.last for seq in seqs)
            assert len(seqs) <= entries
            last = before.get(stream, Head())
            assert head.last >= last.last
            assert head.pruned >= last.pruned
            before[stream] = head
            page = await store.changes(stream, 0, 100)
            assert sorted(entry.seq for entry in page.entries) == seqs
            unread = [entry for entry in page.entries if not entry.read and entry.kind != "archived"]
            assert head.unread == (0 if stream == "feed:news" else len(unread))
            assert head.unseen == (head.unread and len([entry for entry in unread if entry.seq > head.seen_seq]))
            assert last.seen_seq <= head.seen_seq <= head.seen_changed <= head.last
            weight += sum(entry.weight for entry in page.entries)
        assert len(await MemoryDeadLetters(records).newest(99)) <= 4
        assert weight <= size
