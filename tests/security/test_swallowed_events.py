"""No producer can make another producer's event count as a duplicate, whatever CloudEvents source and id it sends
first."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.clock import SystemClock, Uuid7Factory
from adapters.memory.backplane import MemoryBackplane
from adapters.memory.broker import MemoryBroker
from application.counters import Counters
from application.ingest.handle_dead_letters import HandleDeadLetters
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.publish import NewEvent, PublishEvents
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.routes_in_force import RoutesInForce
from domain.broker_messages import Message
from domain.route_table import RouteTable
from tests.support.core import message, table
from tests.support.stores import STORES, Stores, kept

ROUTES = """
profile = "shop"
[feeds.all]
access = "public"
[[routes]]
source = "shop.billing"
users = ["to"]
email = { to = "mail", subject = "Invoice", template = "order_created.html" }
[[routes]]
source = "shop.billing"
feed = "all"
[[routes]]
source = "shop.reviews"
users = ["to"]
email = { to = "mail", subject = "Review", template = "order_created.html" }
[[routes]]
source = "shop.reviews"
feed = "all"
"""
INVOICE = {"to": "ada", "mail": "ada@example.com", "text": "invoice"}


class Rig:
    def __init__(self, stores: Stores, routes: RouteTable) -> None:
        self.stores = stores
        self.broker = MemoryBroker()
        self.counters = Counters()
        store_plans = StorePlans(stores.store, SystemClock(), StoragePolicy())
        note_duplicates = NoteDuplicates(SystemClock(), self.counters)
        in_force = RoutesInForce(routes)
        self.ingest = IngestEvents(in_force, store_plans, MemoryBackplane(), self.counters, note_duplicates)
        self.consumer = ConsumeEvents(self.ingest, self.broker, RetryPolicy())
        self.publish = PublishEvents(in_force, self.broker, SystemClock(), Uuid7Factory())
        self.dead_letters = HandleDeadLetters(stores.dead_letters, self.broker)

    async def send(self, *messages: Message) -> None:
        """Publish the messages as one batch. Returns after they are stored."""
        await self.broker.publish(messages)

    async def seen(self) -> list[str]:
        """Return the sources of the notifications in ada's inbox, and assert that feed and deliveries have the same."""
        topics = [one.content.source for one in await kept(self.stores)]
        feed = await self.stores.store.arrivals("feed:all", 0, 100)
        assert [entry.content.source for entry in feed.entries] == topics
        assert [one.item.source for one in (await self.stores.deliveries.newest(100))[::-1]] == topics
        return topics


@pytest.fixture(params=["memory", "sqlite"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param]((tmp_path, lambda: request.getfixturevalue("postgres"))) as opened:
        yield opened


@pytest.fixture
async def rig(stores: Stores) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as ending:
        rig = Rig(stores, table(ROUTES))
        await rig.consumer.start()
        ending.push_async_callback(rig.consumer.stop, 1)
        yield rig


def cloud_event(topic: str, source: str, id: str, data: Any = INVOICE) -> Message:
    return message(topic, {"specversion": "1.0", "source": source, "id": id, "data": data}, f"{topic}:0:{id}")


async def test_an_event_with_a_copied_identity_does_not_suppress_the_original(rig: Rig) -> None:
    await rig.send(cloud_event("shop.reviews", "/billing", "invoice-1"))
    await rig.send(cloud_event("shop.billing", "/billing", "invoice-1"))
    assert await rig.seen() == ["shop.reviews", "shop.billing"]
    await rig.send(cloud_event("shop.billing", "/billing", "invoice-1"))
    assert await rig.seen() == ["shop.reviews", "shop.billing"]
    assert rig.counters.duplicates == 1


async def test_a_copied_identity_in_the_same_batch_suppresses_nothing(rig: Rig) -> None:
    both = [cloud_event(topic, "/billing", "invoice-1") for topic in ("shop.reviews", "shop.billing")]
    await rig.send(*both, *both)
    assert await rig.seen() == ["shop.reviews", "shop.billing"]


async def test_a_topic_as_cloudevents_source_suppresses_no_event_of_that_topic(rig: Rig) -> None:
    await rig.send(cloud_event("shop.reviews", "shop.billing", "7"))
    await rig.send(message("shop.billing", INVOICE | {"event_id": "7"}, "shop.billing:0:9"))
    assert await rig.seen() == ["shop.reviews", "shop.billing"]


async def test_an_imitated_source_qualified_origin_suppresses_nothing(rig: Rig) -> None:
    await rig.send(cloud_event("shop.reviews", "herald-source:shop.billing /billing", "7"))
    await rig.send(cloud_event("shop.reviews", "/billing", "7"))
    await rig.send(cloud_event("shop.billing", "/billing", "7"))
    assert await rig.seen() == ["shop.reviews", "shop.reviews", "shop.billing"]


async def test_an_event_over_http_and_from_a_broker_is_one_event(rig: Rig) -> None:
    payload = {"to": "ada", "mail": "ada@example.com"}
    await rig.publish([NewEvent("shop.billing", msgspec.Raw(msgspec.json.encode(payload)), id="7")])
    await rig.send(message("shop.billing", payload | {"event_id": "7"}, "shop.billing:0:1"))
    assert await rig.seen() == ["shop.billing"]


async def test_dead_letters_of_different_sources_are_separate_and_both_replayed(rig: Rig) -> None:
    lost = [cloud_event(topic, "/billing", "7", {"to": [{}], "text": topic}) for topic in ("shop.reviews", "elsewhere")]
    lost.append(cloud_event("shop.billing", "/billing", "7", {"to": "ada", "mail": "ada@example.com"}))
    await rig.send(*lost[:2])
    kept_letters = await rig.stores.dead_letters.newest(10)
    assert [one.letter.message.source for one in kept_letters] == ["elsewhere", "shop.reviews"]
    await rig.send(*lost)
    again = await rig.stores.dead_letters.newest(10)
    assert [(one.id, one.times) for one in again] == [(one.id, 2) for one in kept_letters]
    outcome = await rig.dead_letters.replay_chosen()
    assert [one.id for one in outcome.failed] == [one.id for one in kept_letters]
    assert [one.times for one in await rig.stores.dead_letters.newest(10)] == [3, 3]
    assert "shop.billing" in [one.content.source for one in await kept(rig.stores)]


async def test_a_replay_creates_no_duplicate_notification(rig: Rig) -> None:
    await rig.send(cloud_event("shop.reviews", "/billing", "7"))
    # One of its recipients is invalid: the other is notified, and the event also becomes a dead letter.
    await rig.send(cloud_event("shop.billing", "/billing", "7", INVOICE | {"to": ["ada", {}]}))
    assert await rig.seen() == ["shop.reviews", "shop.billing"]
    assert len((await rig.dead_letters.replay_chosen()).failed) == 1
    assert await rig.seen() == ["shop.reviews", "shop.billing"]


async def test_one_identity_for_all_topics_where_the_route_declares_it(stores: Stores) -> None:
    billing = 'source = "shop.billing"\n'
    rig = Rig(stores, table(ROUTES.replace(billing, billing + 'identity = "cloudevents"\n')))
    await rig.consumer.start()
    await rig.send(cloud_event("shop.reviews", "/billing", "7"))
    await rig.send(cloud_event("shop.billing", "/billing", "7"))
    assert await rig.seen() == ["shop.reviews"]
    await rig.consumer.stop(1)
