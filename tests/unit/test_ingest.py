"""Ingest: store, publish, acknowledge, in this order, and the effects of a failure of each."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from adapters.memory.backplane import MemoryBackplane
from adapters.memory.broker import MemoryBroker
from application.counters import Counters
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.backplane import BackplaneUnavailable
from application.ports.event_source import Batch, NotAcknowledged
from application.ports.store import Recorded, StoreUnavailable
from application.routes_in_force import RoutesInForce
from domain.broker_messages import Message
from domain.event_limits import NO_LIMITS, Limits
from domain.plans import Plan
from domain.route_table import RouteTable
from domain.streams import Entry, SignOut
from tests.support.core import FaultyStore, HandClock, message, settle, table
from tests.support.reading import until

ROUTES: Final = table()


class Rig:
    """Ingest over a store, a backplane and a broker that record their calls and fail on request."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.store = LoggedStore(self.did)
        self.backplane = LoggedBackplane(self.did)
        self.source = LoggedBroker(self.did)
        self.counters = Counters()
        self.ingest = self.ingest_with(Limits(event_bytes=500))
        self.consumer = ConsumeEvents(self.ingest, self.source, RetryPolicy(0.001, 0.004))

    def ingest_with(
        self,
        limits: Limits,
        policy: StoragePolicy | None = None,
        table: RouteTable = ROUTES,
        routes: RoutesInForce | None = None,
    ) -> IngestEvents:
        store_plans = StorePlans(self.store, HandClock(), policy or StoragePolicy())
        routes = routes or RoutesInForce(table)
        note_duplicates = NoteDuplicates(HandClock(), self.counters)
        return IngestEvents(routes, store_plans, self.backplane, self.counters, note_duplicates, limits)

    async def inbox(self, user: str = "ada") -> list[str]:
        self.store.fault = None
        return [entry.content.event_id for entry in (await self.store.arrivals(f"inbox:{user}", 0, 100)).entries]


class LoggedStore(FaultyStore):
    def __init__(self, did: list[str]) -> None:
        super().__init__()
        self.did = did
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, plans: Sequence[Plan], now: Any) -> Recorded:
        self.did.append("record")
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        recorded = await super().record(plans, now)
        self.did.append("stored")
        return recorded


class LoggedBackplane(MemoryBackplane):
    def __init__(self, did: list[str]) -> None:
        super().__init__()
        self.did = did
        self.failing: Exception | None = None
        self.after_publish: Callable[[], Any] = lambda: None
        self.published: list[Entry] = []

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        self.did.append("publish")
        if self.failing is not None:
            failing, self.failing = self.failing, None
            raise failing
        self.published.extend(entries)
        self.after_publish()


class LoggedBroker(MemoryBroker):
    def __init__(self, did: list[str]) -> None:
        super().__init__()
        self.did = did
        self.fault: Exception | None = None
        self.take_fault: Exception | None = None
        self.acknowledged: list[str] = []
        self.closed = False

    async def take(self) -> Batch:
        if self.take_fault is not None:
            fault, self.take_fault = self.take_fault, None
            raise fault
        batch = await super().take()
        self.did.append("take")
        return batch

    async def acknowledge(self, batch: Batch) -> None:
        self.did.append("acknowledge")
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        await super().acknowledge(batch)
        self.acknowledged += [one.fallback_id for one in batch.messages]

    async def close(self) -> None:
        await super().close()
        self.closed = True


def direct(id: str, to: str = "ada") -> Message:
    return message("direct", {"to": to, "text": id}, id)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def once(rig: Rig, *messages: Message) -> None:
    waiting = asyncio.create_task(rig.source.publish(messages))
    await asyncio.sleep(0)
    try:
        await rig.ingest(await rig.ingest.plan(await rig.source.take(), rig.source, rig.ingest.table), rig.source)
        await settle()
    finally:
        waiting.cancel()


# --- one batch ------------------------------------------------------------------------------------------------


async def test_a_batch_is_stored_then_published_then_acknowledged(rig: Rig) -> None:
    await once(rig, direct("a"), direct("b"))
    assert rig.did == ["take", "record", "stored", "publish", "acknowledge"]
    assert [entry.seq for entry in rig.backplane.published] == [1, 2]
    assert rig.source.acknowledged == ["a", "b"]


async def test_a_failed_publish_does_not_prevent_the_acknowledgement(rig: Rig) -> None:
    rig.backplane.failing = BackplaneUnavailable("gone")
    await once(rig, direct("a"))
    assert rig.source.acknowledged == ["a"]
    assert rig.counters.publish_failures == 1
    assert await rig.inbox() == ["a"]


async def test_a_batch_is_recognised_when_repeated_after_a_failed_acknowledgement(rig: Rig) -> None:
    rig.source.fault = NotAcknowledged("rebalanced")
    await once(rig, direct("a"))
    assert len(rig.backplane.published) == 1
    assert (rig.counters.acknowledge_failures, rig.source.acknowledged) == (1, [])
    await once(rig, direct("a"))
    assert rig.source.acknowledged == ["a"]
    assert await rig.inbox() == ["a"]
    assert len(rig.backplane.published) == 1
    assert rig.counters.duplicates == 1


async def test_a_url_that_is_not_allowed_is_counted_and_logged(rig: Rig) -> None:
    routes = table(
        'profile = "p"\n[[routes]]\nsource = "direct"\nusers = ["to"]\ninbox = { title = "x", url = "{link}" }'
    )
    rig.ingest = rig.ingest_with(Limits(), table=routes)
    with capture_logs() as logs:
        await once(rig, message("direct", {"to": "ada", "link": "javascript:alert(1)"}, "a"))
    assert await rig.inbox() == ["a"]
    assert rig.counters.refused_urls == {"p/1": 1}
    (line,) = (line for line in logs if line["event"] == "notification_url_refused")
    assert (line["log_level"], line["source"], line["event_id"], line["route"]) == ("warning", "direct", "a", "p/1")
    assert line["error"].startswith("it is neither an http or https URL")


async def test_while_the_store_is_unavailable_nothing_is_published_or_acknowledged(rig: Rig) -> None:
    rig.store.away = 1
    with pytest.raises(StoreUnavailable):
        await once(rig, direct("a"))
    assert rig.did == ["take", "record"]


async def test_poison_events_do_not_affect_other_events_of_their_batch(rig: Rig) -> None:
    # At some of these depths, depending on the stack, one way of parsing a text succeeds and another fails.
    deep = ['{"to":"ada","d":' + "[" * depth + "]" * depth + "}" for depth in range(920, 1000)]
    poison: list[Any] = [b"\xff", b"no json", None, b"x" * 4_001, b"5", b'{"to":[{}]}', *deep]
    events = [message("direct", body, f"p{n}") for n, body in enumerate(poison)] + [message("nowhere", {}, "lost")]
    rig.ingest = rig.ingest_with(Limits(event_bytes=4_000))
    await once(rig, direct("a"), *events, direct("b"))
    assert [id for id in await rig.inbox() if id in ("a", "b")] == ["a", "b"]
    assert len(rig.source.acknowledged) == len(events) + 2
    assert rig.counters.dead_letters["not_utf8"] == 1
    assert rig.counters.dead_letters["tombstone"] == 0
    assert rig.counters.ignored == {"tombstone": 1}
    assert rig.counters.planned == 2


async def test_filtered_and_excluded_events_are_counted_and_acknowledged(rig: Rig) -> None:
    route = '[[routes]]\nsource = "t"\nwhen = { kind = ["a"] }\nusers = ["to"]\nexclude = ["by"]\n'
    rig.ingest = rig.ingest_with(NO_LIMITS, table=table(f'profile = "p"\n{route}'))
    payloads = [{"kind": "b"}, {"kind": "a", "to": "bob", "by": "bob"}, {"kind": "a", "to": "ada"}, {"kind": ["c"]}]
    await once(rig, *(message("t", payload, f"e{number}") for number, payload in enumerate(payloads)))
    assert rig.counters.ignored == {"filtered": 2, "excluded": 1}
    assert (rig.counters.planned, rig.counters.dead_letters) == (1, {})
    assert len(rig.source.acknowledged) == 4
    assert await rig.inbox() == ["e2"]


async def test_events_entries_duplicates_and_dead_letters_are_counted(rig: Rig) -> None:
    events = [direct("a"), direct("b", "bob"), direct("a"), message("direct", {"to": ["ada", {}]}, "c")]
    events += [message("news", {}, "n"), message("direct", "x" * 501, "big")]
    await once(rig, *events)
    counters = rig.counters
    assert counters.events_in == {"memory": 6}
    assert counters.planned == 4
    assert counters.stored == 4  # a, b, c and the broadcast
    assert counters.duplicates == 1
    assert counters.dead_letters == {"bad_recipient": 1, "too_large": 1}
    assert counters.events == {
        ("direct", "", "planned"): 2,
        ("direct", "", "duplicate"): 1,
        ("direct", "", "dead_letter"): 2,
        ("news", "", "planned"): 1,
    }
    assert (counters.publish_failures, counters.acknowledge_failures) == (0, 0)


async def test_each_part_of_a_large_fan_out_is_published_once_it_is_stored(rig: Rig) -> None:
    rig.ingest = rig.ingest_with(Limits(), StoragePolicy(rows=2))
    await once(rig, message("direct", {"to": ["ada", "bob", "cyd", "dan", "eve"]}, "a"), direct("b"))
    assert rig.did == ["take", *(["record", "stored", "publish"] * 4), "acknowledge"]
    assert len(rig.backplane.published) == 6
    assert (rig.counters.events_in, rig.counters.planned, rig.counters.stored) == ({"memory": 2}, 2, 6)
    rig.did.clear()
    await once(rig, message("direct", {"to": ["ada", "bob", "cyd", "dan", "eve"]}, "a"))
    assert (rig.counters.duplicates, len(rig.backplane.published)) == (1, 6)


async def test_a_fan_out_is_acknowledged_and_counted_after_its_last_part_is_stored(rig: Rig) -> None:
    rig.ingest = rig.ingest_with(Limits(), StoragePolicy(rows=2))
    rig.consumer = ConsumeEvents(rig.ingest, rig.source, RetryPolicy(0.001, 0.004))
    rig.backplane.after_publish = lambda: setattr(rig.store, "away", 1)
    await rig.consumer.start()
    await rig.source.publish([message("direct", {"to": ["ada", "bob", "cyd", "dan", "eve"]}, "a")])
    assert rig.did.count("stored") == 3
    assert rig.did.count("record") >= 5
    assert rig.did.index("acknowledge") == len(rig.did) - 1
    assert (rig.counters.stored, rig.counters.duplicates, rig.counters.events_in) == (5, 0, {"memory": 1})
    await rig.consumer.stop(1)


# --- batch after batch ----------------------------------------------------------------------------------------


async def test_publish_returns_after_all_events_are_stored(rig: Rig) -> None:
    await rig.consumer.start()
    await rig.source.publish([direct("a"), direct("b")])
    assert await rig.inbox() == ["a", "b"]
    await rig.consumer.stop(1)
    assert rig.source.closed


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), RuntimeError("our mistake"), KeyError("x")])
async def test_a_batch_is_retried_until_it_is_stored_and_the_error_is_reported(rig: Rig, fault: Exception) -> None:
    rig.store.fault = fault
    await rig.consumer.start()
    publishing = asyncio.create_task(rig.source.publish([direct("a")]))
    await until(lambda: rig.did.count("record") >= 4)
    more = asyncio.create_task(rig.source.publish([direct("b")]))
    await settle()
    assert rig.consumer.fault
    assert "our mistake" not in rig.consumer.fault
    assert rig.did.count("take") == 1
    assert "publish" not in rig.did
    assert "acknowledge" not in rig.did
    assert not publishing.done()
    rig.store.fault = None
    await asyncio.gather(publishing, more)
    assert rig.consumer.fault is None
    assert await rig.inbox() == ["a", "b"]
    assert rig.source.acknowledged == ["a", "b"]
    await rig.consumer.stop(1)


async def test_unexpected_errors_of_publishing_or_acknowledging_lose_and_duplicate_nothing(rig: Rig) -> None:
    rig.backplane.failing = RuntimeError("publish")
    rig.source.fault = RuntimeError("acknowledge")
    await rig.consumer.start()
    publishing = asyncio.create_task(rig.source.publish([direct("a"), direct("b")]))
    await until(lambda: rig.counters.acknowledge_failures == 1)
    assert await rig.inbox() == ["a", "b"]
    assert rig.consumer.fault is None
    assert rig.counters.publish_failures == 1
    # The events were counted once, whatever failed after they were stored.
    assert rig.counters.events_in == {"memory": 2}
    publishing.cancel()
    await rig.consumer.stop(1)


async def test_an_unexpected_error_of_a_source_is_reported_or_retried(rig: Rig) -> None:
    rig.source.take_fault = RuntimeError("a mistake in an adapter")
    await rig.consumer.start()
    publishing = asyncio.create_task(rig.source.publish([direct("a")]))
    await asyncio.sleep(0.05)
    publishing.cancel()
    assert rig.consumer.fault is not None or rig.source.acknowledged == ["a"]
    await rig.consumer.stop(1)


# --- stopping -------------------------------------------------------------------------------------------------


async def test_stopping_lets_the_batch_in_progress_be_stored_and_acknowledged(rig: Rig) -> None:
    rig.store.gate.clear()
    await rig.consumer.start()
    publishing = asyncio.create_task(rig.source.publish([direct("a")]))
    await until(lambda: "record" in rig.did)
    stopping = asyncio.create_task(rig.consumer.stop(5))
    await settle()
    assert not stopping.done()
    assert not rig.source.closed
    rig.store.gate.set()
    await stopping
    await publishing
    assert rig.source.acknowledged == ["a"]
    assert rig.source.closed


async def test_stopping_while_the_store_is_unavailable_ends_in_time_without_acknowledgement(rig: Rig) -> None:
    rig.store.fault = StoreUnavailable("away")
    await rig.consumer.start()
    publishing = asyncio.create_task(rig.source.publish([direct("a")]))
    await until(lambda: rig.did.count("record") > 1)
    async with asyncio.timeout(1):
        await rig.consumer.stop(0.05)
    assert rig.source.acknowledged == []
    assert rig.source.closed
    assert rig.source.status().lag == 1
    publishing.cancel()


async def test_stopping_an_idle_consumer_is_immediate_and_idempotent(rig: Rig) -> None:
    await rig.consumer.start()
    await settle()
    async with asyncio.timeout(0.5):
        await rig.consumer.stop(10)
        await rig.consumer.stop(10)
    assert rig.source.closed


# --- routes that are replaced ---------------------------------------------------------------------------------------


def titled(title: str) -> RouteTable:
    return table(f'profile = "x"\n[[routes]]\nsource = "direct"\nusers = ["to"]\ninbox = {{ title = "{title}" }}\n')


async def titles(rig: Rig) -> list[str]:
    return [str(entry.content.title) for entry in (await rig.store.arrivals("inbox:ada", 0, 100)).entries]


async def test_a_batch_that_was_taken_before_other_routes_are_in_force_is_stored_by_the_earlier_ones(rig: Rig) -> None:
    routes = RoutesInForce(titled("old"))
    rig.ingest = rig.ingest_with(NO_LIMITS, routes=routes)
    rig.consumer = ConsumeEvents(rig.ingest, rig.source, RetryPolicy(0.001, 0.004))
    rig.store.gate.clear()
    await rig.consumer.start()
    try:
        first = asyncio.create_task(rig.source.publish([direct("a")]))
        await until(lambda: "record" in rig.did)
        routes.replace(titled("new"), "v2")
        second = asyncio.create_task(rig.source.publish([direct("b")]))
        rig.store.gate.set()
        await asyncio.gather(first, second)
    finally:
        await rig.consumer.stop()
    assert await titles(rig) == ["old", "new"]


async def test_a_batch_that_waits_for_the_store_keeps_its_routes(rig: Rig) -> None:
    """It may have events of a source for which the new routes have none, and its duplicates are counted by route."""
    routes = RoutesInForce(titled("old"))
    rig.ingest = rig.ingest_with(NO_LIMITS, routes=routes)
    rig.consumer = ConsumeEvents(rig.ingest, rig.source, RetryPolicy(0.001, 0.004))
    rig.store.fault = StoreUnavailable("gone")
    await rig.consumer.start()
    try:
        publishing = asyncio.create_task(rig.source.publish([direct("a"), direct("a")]))
        await until(lambda: rig.consumer.fault is not None)
        routes.replace(table('profile = "y"\n[[routes]]\nsource = "other"\nusers = ["to"]\n'), "v2")
        rig.store.fault = None
        await publishing
    finally:
        await rig.consumer.stop()
    assert await titles(rig) == ["old"]
    assert rig.counters.dead_letters == {}
    assert rig.counters.duplicates_by_route == {("direct", "x/1"): 1}
