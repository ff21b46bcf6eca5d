"""What each thing that happens costs each part, by processor time: the figures that docs/performance.md carries to a
million sessions. One node publishes; the clients are at another."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.broker import kafka
from benchmarks.clients import InboxSocket, PlainSocket, ProtocolSocket, crowd, socket_request, stamped
from benchmarks.kafka import from_the_first, until_stored
from benchmarks.loads import BURST, CLIENTS, FEED, INBOXES, RECIPIENTS, STEADY, Load, Pace, spent_on
from benchmarks.nodes import Services, Spent, services, site
from benchmarks.postgres import connected
from benchmarks.report import Row, in_turn
from benchmarks.store import RECIPIENTS as TOGETHER
from benchmarks.store import produce_alerts
from domain.protocol import SUBPROTOCOL

# Sessions that are told nothing: some, and many.
SOME: Final = 1_000
MANY: Final = 8_000

# Seconds until connecting has left nothing to do, and in which they are watched then: a heartbeat each, and each stream
# compared with the store six times.
SETTLED: Final = 5.0
WATCHED: Final = 30.0

# Something has happened to these users before: else there is no row to compare their sessions with.
OPEN_INBOXES: Final = """
    INSERT INTO inboxes (user_id, last_seq, unread_count, entry_count, oldest_at)
    SELECT 'u-' || number, 1, 1, 1, now() FROM generate_series(0, $1::int - 1) AS number
"""

PACES: Final = ((STEADY, "one every 30 ms"), (BURST, f"{BURST.events:,} at once"))

# Feeds that a session follows, where it is not one.
FEEDS: Final = 16

# In Kafka, for an ingest that nobody listens to.
BACKLOG: Final = 40_000


async def idle(rounds: int) -> list[Row]:
    with services() as shared:
        none, some, many = await in_turn(
            rounds, lambda: _watched(shared, 0), lambda: _watched(shared, SOME), lambda: _watched(shared, MANY)
        )
    more_of_few, more_of_many = _more(none, some, SOME), _more(some, many, MANY - SOME)
    what = "a session of herald.v1 to which nothing happens, a second:"
    return [
        Row(f"{what} its node, the first {SOME:,}", "µs", [cost.nodes[0] for cost in more_of_few]),
        Row(
            f"{what} its node, the next {MANY - SOME:,}, against those",
            "µs",
            [cost.nodes[0] for cost in more_of_many],
            [cost.nodes[0] for cost in more_of_few],
            "≤",
            1.2,
        ),
        Row(f"{what} PostgreSQL", "µs", [cost.database for cost in more_of_many]),
    ]


async def broadcast(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for pace, what in PACES:
            one, all_of_them = await in_turn(
                rounds,
                partial(_published, shared, FEED, pace, 1),
                partial(_published, shared, FEED, pace, CLIENTS),
            )
            few = [cost.each(pace.events) for cost in one]
            more = _more(one, all_of_them, (CLIENTS - 1) * pace.events)
            rows += [
                *_shares(f"a broadcast, {what}:", few, "a node with one session that follows"),
                Row(f"a broadcast, {what}: each further session there", "µs", [cost.nodes[1] for cost in more]),
            ]
    return rows


async def notification(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for pace, what in PACES:
            (spent,) = await in_turn(rounds, partial(_published, shared, INBOXES, pace, CLIENTS))
            each = [cost.each(INBOXES.deliveries(pace)) for cost in spent]
            rows += _shares(f"a notification of an event for {RECIPIENTS} users, {what}:", each, "its user's node")
    return rows


async def ingest(rounds: int) -> list[Row]:
    with kafka() as broker, services() as shared:
        produce_alerts(broker, BACKLOG)
        alone, joined = await in_turn(
            rounds, lambda: _ingested(shared, broker.servers, False), lambda: _ingested(shared, broker.servers, True)
        )
    what = f"a row of ingest from Kafka, {TOGETHER} recipients an event, with Redis:"
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


def _more(fewer: Sequence[Spent], more: Sequence[Spent], count: float) -> list[Spent]:
    """What each of so many more has cost, round by round."""
    return [much.since(little).each(count) for little, much in zip(fewer, more, strict=True)]


async def _watched(shared: Services, clients: int) -> Spent:
    """A second of it."""
    requests = [socket_request(f"/ws?user_id=u-{number}", SUBPROTOCOL) for number in range(clients)]
    async with site(shared, 1, HERALD_PROFILE="trading") as at:
        async with connected(at.url) as connection:
            await connection.execute(OPEN_INBOXES, clients)
        async with crowd(at.nodes[0].port, InboxSocket, requests):
            await asyncio.sleep(SETTLED)
            before = at.spent()
            await asyncio.sleep(WATCHED)
            spent = at.spent().since(before)
    return Spent(tuple(node / WATCHED for node in spent.nodes), spent.database / WATCHED, spent.redis / WATCHED)


async def _published(shared: Services, load: Load, pace: Pace, clients: int) -> Spent:
    requests = [load.request(number) for number in range(clients)]
    async with site(shared, 2, HERALD_PROFILE=load.profile) as at:
        here, there = at.nodes
        async with crowd(there.port, PlainSocket, requests) as everyone:
            return await spent_on(load, pace, at, [here], [everyone])


async def _followed(shared: Services, routes: str, names: Sequence[str]) -> float:
    """Microseconds a delivery of the node where the clients are, all of the first of these feeds."""
    request = socket_request(f"/ws?feeds={','.join(names)}", SUBPROTOCOL)
    load = Load("", lambda _: f'{{"source":"{names[0]}","payload":{stamped(200)}}}', lambda _: request, 1)
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
        _, last = await until_stored(node, BACKLOG * TOGETHER)
        return at.spent().since(before).each(last - first)
