"""Events of different sources that share an origin and an id, on every store: neither counts as a duplicate of the
other."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from application.ports.deliveries import Outcome
from application.ports.retention import Keep, Keeping
from application.ports.store import Recorded, Store
from domain.deliveries import Attempt
from domain.planning import plan
from domain.route_table import RouteTable
from tests.support.core import NOW, message, table
from tests.support.stores import Stores, check_counters, kept

PRIVATE = """
profile = "shop"
[feeds.all]
access = "public"
[[routes]]
source = "shop.#"
{identity}
users = ["to"]
otherwise = "drop"
inbox = {{ title = "{{text}}" }}
email = {{ to = "mail", subject = "s", template = "order_created.html" }}
[[routes]]
source = "shop.#"
feed = "all"
"""
ROUTES = table(PRIVATE.format(identity=""))
SHARED = table(PRIVATE.format(identity='identity = "cloudevents"'))

# Topic, CloudEvents source, id.
Event = tuple[str, str, str]
A: Event = ("shop.a", "/billing", "1")
B: Event = ("shop.b", "/billing", "1")
C: Event = ("shop.c", "/billing", "1")


async def record(store: Store, *events: Event, routes: RouteTable = ROUTES, to: Sequence[str] = ("ada",)) -> Recorded:
    plans = [plan(_message(event, {"to": list(to), "mail": "kim@example.com"}), routes) for event in events]
    return await store.record(plans, NOW)


def _message(event: Event, data: dict[str, Any]) -> Any:
    topic, origin, id = event
    envelope = {"specversion": "1.0", "source": origin, "id": id, "data": {**data, "text": topic}}
    return message(topic, envelope, f"{topic}:0:1")


async def sources(stores: Stores, user: str = "ada") -> list[str]:
    return [one.content.source for one in await kept(stores, user)]


async def feed(stores: Stores) -> list[str]:
    return [entry.content.source for entry in (await stores.store.arrivals("feed:all", 0, 1000)).entries]


async def mails(stores: Stores) -> list[str]:
    return [one.item.source for one in (await stores.deliveries.newest(1000))[::-1]]


@pytest.mark.parametrize("order", [(A, B), (B, A)])
@pytest.mark.parametrize("together", [True, False])
async def test_events_of_both_sources_are_stored_once_in_either_order(
    stores: Stores, order: tuple[Event, ...], together: bool
) -> None:
    rounds = [order, order[::-1], order] if together else [(event,) for event in order * 3]
    made = [await record(stores.store, *events) for events in rounds]
    expected = [topic for topic, _, _ in order]
    assert await sources(stores) == await feed(stores) == await mails(stores) == expected
    assert sum(len(one.entries) for one in made) == 4
    assert sum(one.duplicates for one in made) == 4
    await check_counters(stores)
    head = (await stores.store.heads(["inbox:ada"]))["inbox:ada"]
    assert (head.last, head.unread) == (2, 2)


async def test_the_pushed_origin_is_the_stored_origin(stores: Stores) -> None:
    await record(stores.store, A)
    (entry, broadcast) = (await record(stores.store, B)).entries
    page = await stores.store.arrivals(entry.stream, 0, 10)
    assert [one.content.origin for one in page.entries] == ["/billing", "herald-source:shop.b /billing"]
    assert page.entries[1].content == entry.content
    assert broadcast.content.origin == entry.content.origin
    # The event that was stored first keeps its origin.
    assert {one.item.origin for one in await stores.deliveries.newest(10)} == {
        "/billing",
        "herald-source:shop.b /billing",
    }


async def test_three_sources_and_duplicates_within_one_batch(stores: Stores) -> None:
    recorded = await record(stores.store, A, B, A, C, B, C)
    assert await sources(stores) == await feed(stores) == await mails(stores) == ["shop.a", "shop.b", "shop.c"]
    assert recorded.duplicates == 3


async def test_duplicates_are_recognised_separately_for_each_user(stores: Stores) -> None:
    await record(stores.store, A, to=["ada"])
    await record(stores.store, B, to=["ada", "bob"])
    await record(stores.store, A, to=["ada", "bob"])
    await record(stores.store, B, A, to=["ada", "bob", "eve"])
    assert await sources(stores) == ["shop.a", "shop.b"]
    assert await sources(stores, "bob") == ["shop.b", "shop.a"]
    assert await sources(stores, "eve") == ["shop.b", "shop.a"]
    for user in ("ada", "bob", "eve"):
        await check_counters(stores, user)


@pytest.mark.parametrize("seed", range(2))
async def test_concurrent_repeated_events_are_stored_once(stores: Stores, seed: int) -> None:
    chance = random.Random(seed)
    events = [(f"shop.{topic}", origin, str(id)) for topic in "abc" for origin in ("/x", "shop.a") for id in range(3)]

    async def write() -> None:
        for _ in range(6):
            await record(stores.store, *chance.choices(events, k=chance.randint(1, 12)), to=["ada", "bob"])

    await asyncio.gather(*(write() for _ in range(6)))
    await record(stores.store, *events, to=["ada", "bob"])
    await record(stores.store, *events, to=["ada", "bob"])
    expected = Counter(topic for topic, _, _ in events)
    for user in ("ada", "bob"):
        assert Counter(await sources(stores, user)) == expected
        await check_counters(stores, user)
    assert Counter(await feed(stores)) == Counter(await mails(stores)) == expected


async def test_a_duplicate_is_recognised_after_the_event_stored_first_is_pruned(stores: Stores) -> None:
    await record(stores.store, A)
    await record(stores.store, B)
    newest = Keep(timedelta(days=9999), 1)
    every = Keep(timedelta(days=9999), 1000)
    pruned = await stores.retention.prune(Keeping(newest, newest, every, every), NOW)
    assert (pruned.notifications, pruned.broadcasts) == (1, 1)
    again = await record(stores.store, B)
    assert (again.entries, again.duplicates) == ((), 1)
    assert await sources(stores) == await feed(stores) == ["shop.b"]
    # Once that event is pruned too, it is new, like any pruned event.
    await record(stores.store, ("shop.a", "/other", "2"))
    await stores.retention.prune(Keeping(newest, newest, every, every), NOW)
    assert len((await record(stores.store, B)).entries) == 2


async def test_a_delivery_is_made_once_although_the_first_delivery_is_pruned(stores: Stores) -> None:
    await record(stores.store, A)
    claims = await stores.deliveries.claim("email", 10, 60)
    await record(stores.store, B)
    attempt = Attempt(NOW, 0.1, "sent", 250, "ok")
    assert await stores.deliveries.record_outcomes([Outcome(claim, attempt, "sent") for claim in claims]) == 1
    every, none = Keep(timedelta(days=9999), 1000), Keep(timedelta(days=9999), 0)
    assert (await stores.retention.prune(Keeping(every, every, every, none), NOW)).deliveries == 1
    await record(stores.store, B, B)
    assert await mails(stores) == ["shop.b"]


async def test_one_identity_for_all_sources_where_the_route_declares_it(stores: Stores) -> None:
    await record(stores.store, A, routes=SHARED)
    again = await record(stores.store, B, C, routes=SHARED)
    assert (again.entries, again.deliveries, again.duplicates) == ((), (), 2)
    both = await record(stores.store, ("shop.b", "/x", "2"), ("shop.a", "/x", "2"), routes=SHARED)
    assert (len(both.entries), len(both.deliveries), both.duplicates) == (2, 1, 1)
    assert await sources(stores) == await feed(stores) == await mails(stores) == ["shop.a", "shop.b"]


async def test_an_origin_that_imitates_a_source_qualified_origin_is_another_event(stores: Stores) -> None:
    # Both are stored under an origin that names shop.b: the first because its producer chose that origin.
    forged: Event = ("shop.a", "herald-source:shop.b /billing", "1")
    await record(stores.store, forged)
    await record(stores.store, A)
    await record(stores.store, B)
    await record(stores.store, B, A, forged)
    assert await sources(stores) == await feed(stores) == await mails(stores) == ["shop.a", "shop.a", "shop.b"]


@pytest.mark.parametrize("origin", ["/b", "x" * 512, "ü" * 512, "😀" * 300])
async def test_long_origins_and_ids(stores: Stores, origin: str) -> None:
    first, second = ("shop." + "a" * 240, origin, "i" * 200), ("shop." + "b" * 240, origin, "i" * 200)
    await record(stores.store, first, second)
    await record(stores.store, second, first)
    assert await sources(stores) == await feed(stores) == await mails(stores) == [first[0], second[0]]


# --- dead letters ---------------------------------------------------------------------------------------------


def lost(topic: str, id: str = "1") -> Any:
    return plan(_message((topic, "/billing", id), {}), ROUTES)


async def letters(stores: Stores) -> list[tuple[str, int]]:
    return [(one.letter.message.source, one.times) for one in (await stores.dead_letters.newest(100))[::-1]]


async def test_dead_letters_of_different_sources_are_separate(stores: Stores) -> None:
    first = await stores.store.record([lost("other.a"), lost("other.b"), lost("other.a")], NOW)
    again = await stores.store.record([lost("other.b"), lost("other.a"), lost("other.c"), lost("other.b")], NOW)
    assert await letters(stores) == [("other.a", 3), ("other.b", 3), ("other.c", 1)]
    assert [one.message.source for one in first.dead_letters] == ["other.a", "other.b"]
    assert [one.message.source for one in again.dead_letters] == ["other.c"]
    assert (first.duplicates, again.duplicates) == (1, 3)


async def test_a_repeated_dead_letter_is_recognised_after_the_first_one_is_dropped(stores: Stores) -> None:
    await stores.store.record([lost("other.a"), lost("other.b")], NOW)
    assert await stores.dead_letters.drop([(await stores.dead_letters.newest(2))[1]]) == 1
    assert await letters(stores) == [("other.b", 1)]
    await stores.store.record([lost("other.b")], NOW)
    assert await letters(stores) == [("other.b", 2)]
    await stores.dead_letters.drop(await stores.dead_letters.newest(2))
    await stores.store.record([lost("other.b")], NOW)
    assert await letters(stores) == [("other.b", 1)]


async def test_concurrent_dead_letters_of_different_sources(stores: Stores) -> None:
    async def write(topic: str) -> None:
        for id in range(5):
            await stores.store.record([lost(topic, str(id))], NOW)

    await asyncio.gather(*(write(f"other.{topic}") for topic in "abcabc"))
    expected = {(f"other.{topic}", 2): 5 for topic in "abc"}
    assert Counter(await letters(stores)) == expected


async def test_one_dead_letter_for_all_sources_where_the_route_declares_it(stores: Stores) -> None:
    routes = table(PRIVATE.format(identity='identity = "cloudevents"').replace('otherwise = "drop"\n', ""))

    def nobody(topic: str) -> Any:
        return plan(_message((topic, "/billing", "1"), {}), routes)

    await stores.store.record([nobody("shop.a"), nobody("shop.b")], NOW)
    await stores.store.record([nobody("shop.b")], NOW)
    await stores.store.record([nobody("shop.c"), nobody("shop.a")], NOW)
    assert await letters(stores) == [("shop.a", 5)]
