"""CPU time of each component, per event and per session. docs/performance.md extrapolates these figures to a million
sessions. One node publishes; the clients are connected to another."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.broker import kafka
from benchmarks.clients import PlainSocket, ProtocolSocket, client_group, socket_request, stamped
from benchmarks.kafka import from_the_beginning, until_stored
from benchmarks.loads import CLIENTS, FEED, INBOXES, RECIPIENTS, Load, cpu_time_of
from benchmarks.nodes import CpuTime, Services, running_deployment, services
from benchmarks.pace import BURST, STEADY, Pace
from benchmarks.report import Row, alternate
from benchmarks.store import RECIPIENTS as RECIPIENTS_OF_ALERT
from benchmarks.store import produce_alerts
from domain.protocol.herald_v1 import SUBPROTOCOL

# The number of feeds of a session that follows several feeds.
FEEDS: Final = 16

# The number of events in Kafka for the benchmark of ingest without sessions.
BACKLOG: Final = 40_000


async def broadcast(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for pace in (STEADY, BURST):
            one, all_of_them = await alternate(
                rounds,
                partial(_cost_of_publishing, shared, FEED, pace, 1),
                partial(_cost_of_publishing, shared, FEED, pace, CLIENTS),
            )
            few = [cost.each(pace.events) for cost in one]
            further = (CLIENTS - 1) * pace.events
            more = [many.minus(little).each(further) for little, many in zip(one, all_of_them, strict=True)]
            rows += [
                *_rows_by_component(f"a broadcast, {pace}:", few, "a node with one session that follows the feed"),
                Row(f"a broadcast, {pace}: each further session there", "µs", [cost.nodes[1] for cost in more]),
            ]
    return rows


async def notification(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for pace in (STEADY, BURST):
            (spent,) = await alternate(rounds, partial(_cost_of_publishing, shared, INBOXES, pace, CLIENTS))
            each = [cost.each(INBOXES.deliveries(pace)) for cost in spent]
            rows += _rows_by_component(
                f"a notification of an event for {RECIPIENTS} users, {pace}:", each, "its user's node"
            )
    return rows


async def ingest(rounds: int) -> list[Row]:
    with kafka() as broker, services() as shared:
        produce_alerts(broker, BACKLOG)
        alone, joined = await alternate(
            rounds,
            lambda: _cost_of_ingest(shared, broker.servers, False),
            lambda: _cost_of_ingest(shared, broker.servers, True),
        )
    what = f"a row of ingest from Kafka, {RECIPIENTS_OF_ALERT} recipients per event, with Redis:"
    return [
        Row(
            f"{what} its node, vs without Redis",
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
        one, many = await alternate(
            rounds,
            lambda: _cost_of_following(shared, str(routes), names[:1]),
            lambda: _cost_of_following(shared, str(routes), names),
        )
    what = f"a delivery to a session with {FEEDS} feeds, vs one with 1 feed: its node"
    return [Row(what, "µs", many, one)]


_FEED: Final = '[feeds.{0}]\naccess = "public"\n[[routes]]\nsource = "{0}"\nfeed = "{0}"\nenvelope = "raw"\n'


def _rows_by_component(what: str, each: Sequence[CpuTime], other: str) -> list[Row]:
    """Returns a row of the table for each component."""
    return [
        Row(f"{what} the node that stores it", "µs", [cost.nodes[0] for cost in each]),
        Row(f"{what} PostgreSQL", "µs", [cost.database for cost in each]),
        Row(f"{what} Redis", "µs", [cost.redis for cost in each]),
        Row(f"{what} {other}", "µs", [cost.nodes[1] for cost in each]),
    ]


async def _cost_of_publishing(shared: Services, load: Load, pace: Pace, clients: int) -> CpuTime:
    requests = [load.request(number) for number in range(clients)]
    async with running_deployment(shared, 2, HERALD_PROFILE=load.profile) as deployment:
        here, there = deployment.nodes
        async with client_group(there.port, PlainSocket, requests) as clients:
            return await cpu_time_of(load, pace, deployment, [here], [clients])


async def _cost_of_following(shared: Services, routes: str, names: Sequence[str]) -> float:
    """Returns the microseconds per delivery at the clients' node. The clients follow all of these feeds; events are
    published to the first one only."""
    request = socket_request(f"/ws?feeds={','.join(names)}", SUBPROTOCOL)
    load = Load("many", lambda _: f'{{"source":"{names[0]}","payload":{stamped(200)}}}', lambda _: request, 1)
    async with running_deployment(shared, 2, HERALD_ROUTES=routes) as deployment:
        here, there = deployment.nodes
        async with client_group(there.port, ProtocolSocket, [request] * CLIENTS) as clients:
            # The server waits up to 1 s for the first frame of each client.
            await asyncio.sleep(1.5)
            cost = await cpu_time_of(load, STEADY, deployment, [here], [clients])
    return cost.each(load.deliveries(STEADY)).nodes[1]


async def _cost_of_ingest(shared: Services, servers: str, joined: bool) -> CpuTime:
    """Returns the CPU time per stored row."""
    async with running_deployment(
        shared, 1, joined=joined, ready="/health/live", **from_the_beginning(servers)
    ) as deployment:
        (node,) = deployment.nodes
        _, first = await until_stored(node, 1)
        before = deployment.cpu_time()
        _, last = await until_stored(node, BACKLOG * RECIPIENTS_OF_ALERT)
        return deployment.cpu_time().minus(before).each(last - first)
