"""What each thing that happens costs each part, by processor time: the figures that docs/performance.md carries to a
million sessions. One node publishes; the clients are at another."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.broker import kafka
from benchmarks.clients import PlainSocket, ProtocolSocket, crowd, socket_request, stamped
from benchmarks.kafka import from_the_first, until_stored
from benchmarks.loads import CLIENTS, FEED, INBOXES, RECIPIENTS, Load, spent_on
from benchmarks.nodes import Services, Spent, services, site
from benchmarks.pace import BURST, STEADY, Pace
from benchmarks.report import Row, in_turn
from benchmarks.store import RECIPIENTS as OF_AN_ALERT
from benchmarks.store import produce_alerts
from domain.protocol.herald_v1 import SUBPROTOCOL

# Feeds that a session follows, where it follows several.
FEEDS: Final = 16

# In Kafka, for an ingest that nobody listens to.
BACKLOG: Final = 40_000


async def broadcast(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for pace in (STEADY, BURST):
            one, all_of_them = await in_turn(
                rounds,
                partial(_published, shared, FEED, pace, 1),
                partial(_published, shared, FEED, pace, CLIENTS),
            )
            few = [cost.each(pace.events) for cost in one]
            further = (CLIENTS - 1) * pace.events
            more = [many.minus(little).each(further) for little, many in zip(one, all_of_them, strict=True)]
            rows += [
                *_shares(f"a broadcast, {pace}:", few, "a node with one session that follows"),
                Row(f"a broadcast, {pace}: each further session there", "µs", [cost.nodes[1] for cost in more]),
            ]
    return rows


async def notification(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for pace in (STEADY, BURST):
            (spent,) = await in_turn(rounds, partial(_published, shared, INBOXES, pace, CLIENTS))
            each = [cost.each(INBOXES.deliveries(pace)) for cost in spent]
            rows += _shares(f"a notification of an event for {RECIPIENTS} users, {pace}:", each, "its user's node")
    return rows


async def ingest(rounds: int) -> list[Row]:
    with kafka() as broker, services() as shared:
        produce_alerts(broker, BACKLOG)
        alone, joined = await in_turn(
            rounds, lambda: _ingested(shared, broker.servers, False), lambda: _ingested(shared, broker.servers, True)
        )
    what = f"a row of ingest from Kafka, {OF_AN_ALERT} recipients an event, with Redis:"
    return [
        Row(
            f"{what} its node, against without Redis",
            "µs",
            [cost.nodes[0] for cost in joined],
            [cost.nodes[0] for cost in alone],
            "≤",
            1.3,
        ),
        Row(f"{what} PostgreSQL", "µs", [cost.database for cost in joined]),
        Row(f"{what} Redis", "µs", [cost.redis for cost in joined]),
    ]


async def feeds(rounds: int) -> list[Row]:
    with services() as shared, TemporaryDirectory() as folder:
        routes = Path(folder) / "many.toml"
        names = [f"feed-{number}" for number in range(FEEDS)]
        routes.write_text('profile = "many"\nbroker = "kafka"\n' + "".join(map(_FEED.format, names)))
        one, many = await in_turn(
            rounds,
            lambda: _followed(shared, str(routes), names[:1]),
            lambda: _followed(shared, str(routes), names),
        )
    what = f"a delivery to a session that follows {FEEDS} feeds, against one that follows one: its node"
    return [Row(what, "µs", many, one)]


_FEED: Final = '[feeds.{0}]\naccess = "public"\n[[routes]]\nsource = "{0}"\nfeed = "{0}"\nenvelope = "raw"\n'


def _shares(what: str, each: Sequence[Spent], other: str) -> list[Row]:
    """What it costs each part."""
    return [
        Row(f"{what} the node that stores it", "µs", [cost.nodes[0] for cost in each]),
        Row(f"{what} PostgreSQL", "µs", [cost.database for cost in each]),
        Row(f"{what} Redis", "µs", [cost.redis for cost in each]),
        Row(f"{what} {other}", "µs", [cost.nodes[1] for cost in each]),
    ]


async def _published(shared: Services, load: Load, pace: Pace, clients: int) -> Spent:
    requests = [load.request(number) for number in range(clients)]
    async with site(shared, 2, HERALD_PROFILE=load.profile) as at:
        here, there = at.nodes
        async with crowd(there.port, PlainSocket, requests) as everyone:
            return await spent_on(load, pace, at, [here], [everyone])


async def _followed(shared: Services, routes: str, names: Sequence[str]) -> float:
    """Microseconds a delivery of the node where the clients are, all of the first of these feeds."""
    request = socket_request(f"/ws?feeds={','.join(names)}", SUBPROTOCOL)
    load = Load("many", lambda _: f'{{"source":"{names[0]}","payload":{stamped(200)}}}', lambda _: request, 1)
    async with site(shared, 2, HERALD_ROUTES=routes) as at:
        here, there = at.nodes
        async with crowd(there.port, ProtocolSocket, [request] * CLIENTS) as everyone:
            # They may be waiting to be told where to resume, for a second.
            await asyncio.sleep(1.5)
            spent = await spent_on(load, STEADY, at, [here], [everyone])
    return spent.each(load.deliveries(STEADY)).nodes[1]


async def _ingested(shared: Services, servers: str, joined: bool) -> Spent:
    """Of each row."""
    async with site(shared, 1, joined=joined, ready="/health/live", **from_the_first(servers)) as at:
        (node,) = at.nodes
        _, first = await until_stored(node, 1)
        before = at.spent()
        _, last = await until_stored(node, BACKLOG * OF_AN_ALERT)
        return at.spent().minus(before).each(last - first)
