"""The Store port, on every adapter."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from application.ports.store import Recorded, Store
from domain.positions import Head
from domain.streams import inbox_of
from tests.support.core import NOW
from tests.support.stores import Stores, direct, fill, head, later, names, record, whole

# --- numbering ------------------------------------------------------------------------------------------------


async def test_each_stream_is_numbered_separately_without_gaps(store: Store) -> None:
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


async def test_new_entries_of_a_stream_are_returned_in_seq_order(store: Store) -> None:
    recorded = await record(store, *(direct(f"e{n}", "ada", "bob") for n in range(50)))
    for stream in ("inbox:ada", "inbox:bob"):
        own = [entry for entry in recorded.entries if entry.stream == stream]
        assert [entry.seq for entry in own] == list(range(1, 51))
        assert [entry.content.event_id for entry in own] == [f"e{n}" for n in range(50)]


async def test_an_entry_is_read_back_as_it_was_recorded(store: Store) -> None:
    recorded = await record(
        store,
        direct("a", "ada"),
        ("both.x", {"to": "ada", "n": 1.5, "t": "é😀\n"}, "b"),
        ("linked", {"to": "ada", "text": "é/1"}, "c"),
    )
    for entry in recorded.entries:
        page = await store.arrivals(entry.stream, entry.seq - 1, 1)
        unseen = page.head.unseen if entry.stream == "inbox:ada" else None
        assert page.entries == (msgspec.structs.replace(entry, unread=page.head.unread, unseen=unseen),)
        assert (entry.changed, entry.kind, entry.read, entry.muted) == (entry.seq, "arrival", False, False)
        assert entry.stored_at == NOW
    assert len({entry.id for entry in recorded.entries}) == len(recorded.entries)
    assert [entry.unread for entry in recorded.entries if entry.stream == "inbox:ada"] == [1, 2, 3]
    urls = {entry.content.event_id: entry.content.url for entry in recorded.entries if entry.stream == "inbox:ada"}
    assert urls == {"a": None, "b": None, "c": "/texts/%C3%A9%2F1"}
    assert [entry.unread for entry in recorded.entries if entry.stream == "feed:news"] == [0]


async def test_recording_nothing_changes_nothing(store: Store) -> None:
    assert await store.record([], NOW) == Recorded((), (), (), ())
    assert await record(store, direct("a")) == Recorded((), (), (), ())
    assert await store.heads(["inbox:ada"]) == {"inbox:ada": Head(0, 0)}


async def test_concurrent_writers_and_readers_see_no_gap_and_no_duplicate(store: Store) -> None:
    chance = random.Random(0)
    users = [f"u{number}" for number in range(5)]
    writing = True

    async def write(writer: int) -> None:
        for number in range(6):
            await asyncio.sleep(0)
            ids = [f"{writer}-{number}-{part}" for part in range(3)]
            events = [direct(id, *chance.sample(users, 3)) for id in ids]
            # A third of the batches holds events that another writer may be storing concurrently.
            events += [("both.x", {"to": users}, f"shared-{number}-{chance.randrange(2)}")]
            await record(store, *events)

    async def read(stream: str) -> None:
        seen = 0
        while writing:
            await asyncio.sleep(chance.uniform(0, 0.004))
            head = (await store.heads([stream]))[stream]
            assert head.last >= seen
            page = await store.arrivals(stream, seen, chance.choice([1, 7, 1000]))
            assert page.head.last >= head.last
            assert [entry.seq for entry in page.entries] == list(range(seen + 1, page.upto + 1))
            seen = page.upto

    readers = [asyncio.create_task(read(stream)) for stream in [*(f"inbox:{user}" for user in users), "feed:news"]]
    await asyncio.gather(*(write(writer) for writer in range(5)))
    writing = False
    await asyncio.gather(*readers)
    for stream in [*(f"inbox:{user}" for user in users), "feed:news"]:
        kept = await whole(store, stream)
        assert [seq for seq, _ in kept] == list(range(1, len(kept) + 1))
        assert len({id for _, id in kept}) == len(kept)
        unread = 0 if stream == "feed:news" else len(kept)
        assert (await store.heads([stream]))[stream] == Head(len(kept), 0, unread=unread)


# --- deduplication --------------------------------------------------------------------------------------------


async def test_a_duplicate_within_a_batch_is_stored_once(store: Store) -> None:
    recorded = await record(store, direct("a", "ada"), direct("a", "ada"), direct("b", "ada"), direct("a", "ada"))
    assert names(recorded.entries) == [("inbox:ada", 1, "a"), ("inbox:ada", 2, "b")]
    assert recorded.duplicates == 2


async def test_a_duplicate_in_a_later_batch_is_stored_once(store: Store) -> None:
    first = await record(store, direct("a", "ada", "bob"), ("both.x", {}, "n"))
    again = await record(store, direct("a", "ada", "bob"), ("both.x", {}, "n"), direct("b", "ada"))
    assert len(first.entries) == 3
    assert names(again.entries) == [("inbox:ada", 2, "b")]
    assert again.duplicates == 2


async def test_a_known_event_is_stored_for_additional_recipients(store: Store) -> None:
    await record(store, direct("a", "ada"), direct("b", "ada"))
    more = await record(store, direct("a", "ada", "bob"), direct("a", "eve"))
    assert names(more.entries) == [("inbox:bob", 1, "a"), ("inbox:eve", 1, "a")]
    assert more.duplicates == 0


async def test_events_are_identified_by_origin_and_id_only(store: Store) -> None:
    recorded = await record(
        store, ("both.x", {}, "a"), ("both.y", {}, "a"), ("both.x", {"other": 1}, "a"), ("rest", {}, "a")
    )
    assert names(recorded.entries) == [("feed:news", 1, "a"), ("feed:news", 2, "a"), ("feed:rest", 1, "a")]
    assert recorded.duplicates == 1


async def test_concurrent_duplicates_are_stored_once(store: Store) -> None:
    made = await asyncio.gather(*(record(store, direct("a", "ada", "bob"), direct("b", "bob")) for _ in range(10)))
    assert sum(len(one.entries) for one in made) == 3
    assert sum(one.duplicates for one in made) == 18


# --- faults ---------------------------------------------------------------------------------------------------


async def test_a_bad_event_becomes_a_dead_letter_and_the_others_are_stored(stores: Stores) -> None:
    events: list[tuple[str, Any, str]] = [direct(f"e{n}", "ada") for n in range(20)]
    events[7] = ("direct", b"\xff", "bad")
    events[9] = ("nowhere", {}, "lost")
    recorded = await record(stores.store, *events)
    assert [letter.event_id for letter in recorded.dead_letters] == ["bad", "lost"]
    assert [id for _, id in await whole(stores.store, "inbox:ada")] == [f"e{n}" for n in range(20) if n not in (7, 9)]
    assert (await head(stores)).unread == 18
    kept = await stores.dead_letters.newest(10)
    assert [one.letter for one in kept] == list(recorded.dead_letters[::-1])


# --- sign-outs ------------------------------------------------------------------------------------------------


def bye(minutes: float, id: str, user: str = "ada") -> tuple[str, Any, str]:
    return "bye", {"user_id": user, "timestamp": (NOW - timedelta(minutes=minutes)).isoformat()}, id


async def test_the_time_of_a_sign_out_only_grows(store: Store) -> None:
    assert await store.not_before("ada") is None
    first = await record(store, bye(10, "a"))
    assert [(one.user, one.not_before) for one in first.sign_outs] == [("ada", NOW - timedelta(minutes=10))]
    assert (await record(store, bye(20, "b"))).sign_outs == ()
    assert (await record(store, bye(10, "a"))).sign_outs == ()
    assert await store.not_before("ada") == NOW - timedelta(minutes=10)
    assert len((await record(store, bye(5, "c"))).sign_outs) == 1
    assert await store.not_before("ada") == NOW - timedelta(minutes=5)
    assert await store.not_before("bob") is None


async def test_each_sign_out_of_a_batch_that_moves_the_latest_is_returned(store: Store) -> None:
    recorded = await record(store, bye(20, "a"), bye(30, "b"), bye(10, "c"), bye(10, "d"), bye(7, "e", "bob"))
    told = [(one.user, one.not_before) for one in recorded.sign_outs]
    assert told == [(user, NOW - timedelta(minutes=ago)) for user, ago in (("ada", 20), ("ada", 10), ("bob", 7))]
    assert recorded.duplicates == 2
    assert await store.not_before("ada") == NOW - timedelta(minutes=10)


async def test_a_sign_out_takes_no_position_and_is_part_of_the_head(store: Store) -> None:
    await record(store, bye(10, "a"), direct("d", "bob"), bye(3, "b", "bob"))
    heads = await store.heads(["inbox:ada", "inbox:bob", "inbox:eve", "feed:ada"])
    assert heads == {
        "inbox:ada": Head(0, 0, NOW - timedelta(minutes=10)),
        "inbox:bob": Head(1, 0, NOW - timedelta(minutes=3), 1),
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
async def test_consecutive_pages_reach_the_head(store: Store, way: str, limit: int) -> None:
    await record(store, *(direct(f"e{n}", "ada", "bob") for n in range(1, 11)))
    read = getattr(store, way)
    after, seen = 0, []
    for _ in range(20):
        page = await read("inbox:ada", after, limit)
        assert page.head == Head(10, 0, unread=10)
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
    assert (page.entries, page.upto, page.head) == ((), 3, Head(3, 0, unread=3))
    page = await read("inbox:ada", 99, 10)
    assert (page.entries, page.upto, page.head) == ((), 99, Head(3, 0, unread=3))


async def test_concurrent_page_reads_return_their_own_results(stores: Stores) -> None:
    users = ("ada", "bob", "cyd")
    await record(stores.store, *(direct(f"e{n}", *users[n % 3 :]) for n in range(30)))
    await record(stores.store, *(("both.x", {"to": "bob"}, f"n{n}") for n in range(7)))
    await stores.inboxes.change_all("ada", "read", 6, 3, later(1))
    questions = [
        (way, stream, after, limit)
        for way in ("arrivals", "changes")
        for stream in (*map(inbox_of, users), "inbox:nobody", "feed:news", "feed:none")
        for after in (0, 3, 9, 99)
        for limit in (1, 4, 50)
    ]
    expected = [await getattr(stores.store, way)(*rest) for way, *rest in questions]
    together = await asyncio.gather(*(getattr(stores.store, way)(*rest) for way, *rest in questions))
    assert together == expected


async def test_concurrent_head_reads_return_their_own_results(stores: Stores) -> None:
    await record(stores.store, direct("a", "ada", "bob"), direct("b", "bob"), ("rest", {}, "n"))
    wanted = [["inbox:ada"], ["feed:rest", "inbox:bob"], ["feed:rest"], ["inbox:nobody", "inbox:ada"], []]
    heads = {"inbox:ada": Head(1, 0, unread=1), "inbox:bob": Head(2, 0, unread=2), "feed:rest": Head(1, 0)}
    together = await asyncio.gather(*map(stores.store.heads, wanted))
    assert together == [{name: heads.get(name, Head()) for name in names} for names in wanted]


# --- reading state changes ------------------------------------------------------------------------------------


async def test_changes_contain_each_notification_once_in_its_current_state(stores: Stores) -> None:
    first, second, third, fourth = await fill(stores.store, 4)
    await stores.inboxes.change("ada", third.id, "read", later(10))  # 5
    await stores.inboxes.change("ada", first.id, "archived", later(11))  # 6
    await stores.inboxes.change("ada", third.id, "unread", later(12))  # 7
    await stores.inboxes.change("ada", second.id, "read", later(13))  # 8
    page = await stores.store.changes("inbox:ada", 0, 10)
    assert (page.upto, page.head) == (8, Head(8, 0, unread=2))
    assert [(one.changed, one.seq, one.id, one.kind, one.read) for one in page.entries] == [
        (4, 4, fourth.id, "arrival", False),
        (6, 1, first.id, "archived", False),
        (7, 3, third.id, "arrival", False),
        (8, 2, second.id, "arrival", True),
    ]
    assert {one.unread for one in page.entries} == {2}
    assert [one.content for one in page.entries] == [one.content for one in (fourth, first, third, second)]
    assert [one.changed for one in (await stores.store.changes("inbox:ada", 6, 10)).entries] == [7, 8]


async def test_arrivals_keep_their_seq_after_state_changes(stores: Stores) -> None:
    first, second, _ = await fill(stores.store, 3)
    await stores.inboxes.change("ada", second.id, "read", later(10))
    await record(stores.store, direct("late", "ada"), at=later(11))
    await stores.inboxes.change("ada", first.id, "archived", later(12))
    page = await stores.store.arrivals("inbox:ada", 0, 10)
    assert [(one.seq, one.changed, one.read, one.kind) for one in page.entries] == [
        (1, 6, False, "arrival"),
        (2, 4, True, "arrival"),
        (3, 3, False, "arrival"),
        (5, 5, False, "arrival"),
    ]
    assert (page.upto, page.head) == (6, Head(6, 0, unread=2))
    assert [one.seq for one in (await stores.store.arrivals("inbox:ada", 3, 10)).entries] == [5]
    beyond = await stores.store.arrivals("inbox:ada", 5, 10)
    assert (beyond.entries, beyond.upto) == ((), 6)


@pytest.mark.parametrize("way", ["arrivals", "changes"])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
async def test_pages_across_state_changes_reach_the_head_without_loss(stores: Stores, way: str, limit: int) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 8)))
    await stores.inboxes.change_all("ada", "read", 6, 3, later(1))  # 4, 5 and 6 at 8
    await record(stores.store, direct("e9", "ada"), at=later(2))
    await stores.inboxes.change_all("ada", "archived", 2, 10, later(3))  # 1 and 2 at 10
    read = getattr(stores.store, way)
    after, pages = 0, []
    for _ in range(20):
        page = await read("inbox:ada", after, limit)
        pages.append([(one.changed, one.seq) for one in page.entries])
        if page.upto == page.head.last:
            break
        assert page.upto > after
        after = page.upto
    seen = [pair for page in pages for pair in page]
    if way == "arrivals":
        assert [seq for _, seq in seen] == [1, 2, 3, 4, 5, 6, 7, 9]
        return
    assert seen == [(3, 3), (7, 7), (8, 4), (8, 5), (8, 6), (9, 9), (10, 1), (10, 2)]


async def test_a_page_of_changes_exceeds_its_limit_only_slightly(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(1, 31)))
    await stores.inboxes.change_all("ada", "read", 30, 10, later(1))
    page = await stores.store.changes("inbox:ada", 0, 5)
    assert 1 <= len(page.entries) <= 15
    page = await stores.store.changes("inbox:ada", 30, 1)
    assert ([one.seq for one in page.entries], page.upto) == (list(range(21, 31)), 31)


# --- other ----------------------------------------------------------------------------------------------------


async def test_the_epoch_does_not_change(store: Store) -> None:
    epoch = await store.epoch()
    await record(store, direct("a", "ada"))
    assert await store.epoch() == epoch
    assert epoch.isalnum()
    assert epoch.isascii()


async def test_a_working_store_answers_a_ping(store: Store) -> None:
    await store.ping()


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["a:b", "inbox:x", "ü", "😀", "a'b", 'a"b', "a b", "x" * 255, "%", "\\", "0"])
async def test_any_valid_user_id_has_its_own_inbox(store: Store, user: str) -> None:
    await record(store, direct("a", user), direct("b", "ada"), bye(1, "c", user))
    assert await whole(store, f"inbox:{user}") == [(1, "a")]
    assert (await store.heads([f"inbox:{user}"]))[f"inbox:{user}"] == Head(1, 0, NOW - timedelta(minutes=1), 1)


@pytest.mark.parametrize("id", ["a'b", "😀", "x" * 512, "a\0b", " ", "%s"])
async def test_any_valid_event_id_is_stored(store: Store, id: str) -> None:
    first, again = await record(store, direct(id, "ada")), await record(store, direct(id, "ada"))
    # An id that the database cannot hold becomes a dead letter; nothing is lost or duplicated.
    assert len(first.entries) + len(first.dead_letters) == 1
    assert (again.entries, again.dead_letters, again.duplicates) == ((), (), 1)


@pytest.mark.parametrize(
    "text",
    [
        '{"to":"ada","z":1,"a":2}',
        '{"to":"ada","n":[1.0,1e5,-0.0,12345678901234567890123,0.1000]}',
        '{"to":"ada","a":1,"a":2}',
        '{"to":"ada","text":"\\u00e9 é \\\\u0000 \\ud83d\\ude00 \\/ \u2028"}',
        '{"to":"ada","deep":' + "[" * 40 + "]" * 40 + "}",
        '{"to":"ada","long":"' + "x" * 300_000 + '"}',
        '{"to":"ada","type":"%s \'; DROP TABLE x; --","event_type":"x"}',
    ],
)
async def test_a_body_is_read_back_unchanged(stores: Stores, text: str) -> None:
    (stored,) = (await record(stores.store, ("direct", text, "a"))).entries
    for read in (stores.store.arrivals, stores.store.changes):
        assert (await read("inbox:ada", 0, 1)).entries == (stored,)
    notification = await stores.inboxes.get("ada", stored.id)
    assert notification is not None
    assert notification.content == stored.content
