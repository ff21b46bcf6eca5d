"""From one node to the clients of another: how long it takes, and what it costs a node that has no such clients."""

import asyncio
import json
import time
import uuid
from typing import Final

from benchmarks.broker import kafka
from benchmarks.clients import socket_request
from benchmarks.kafka import GLANCE, SIGNALS, produce_steadily, prompt_producer, stored_by
from benchmarks.loads import CLIENTS, INBOXES, PATIENCE
from benchmarks.nodes import Services, Site, crowds, heard, services, site
from benchmarks.pace import STEADY, steadily
from benchmarks.report import Row, in_turn, p50_p99
from benchmarks.servers import Server

# Clients of both nodes together; events before anything is measured, and those that are.
FEW: Final = 20
WARM_UP: Final = 200
MEASURED: Final = 2_000

# What happens while a node is watched that has no part in it, and the seconds that it is watched before. By then
# connecting has left nothing to do.
LONG: Final = STEADY._replace(events=500)
WATCHED: Final = LONG.events * LONG.seconds
SETTLED: Final = 5.0


async def to_socket(rounds: int) -> list[Row]:
    with kafka() as broker, services() as shared:
        # Two partitions, so that both nodes have one; only the first is published to.
        broker.create_topic(SIGNALS, 2)
        (runs,) = await in_turn(rounds, lambda: _latencies(broker.servers, shared))
    what = f"Kafka to socket, to {FEW // 2} WebSockets at another node, against as many at the node that stored it:"
    rows = []
    for index, name in enumerate(("p50", "p99")):
        here, there = ([run[place][index] for run in runs] for place in range(2))
        rows.append(Row(f"{what} {name}", "ms", there, here, "≤", 1.5))
    return rows


async def unfollowed(rounds: int) -> list[Row]:
    with services() as shared:
        (runs,) = await in_turn(rounds, lambda: _untouched(shared))
    messages, quiet, busy = ([run[figure] for run in runs] for figure in range(3))
    what = f"a node whose {CLIENTS // 2} users get none of another's notifications:"
    return [
        Row(f"{what} messages it has of them", "", messages, None, "≤", 0, "value"),
        Row(f"{what} CPU a second meanwhile, against before", "ms", busy, quiet, "≤", 1.2),
    ]


async def _latencies(servers: str, shared: Services) -> tuple[tuple[float, float], tuple[float, float]]:
    """At the node that stores, and at the other."""
    producer = prompt_producer(servers)
    kafka_settings = {"HERALD_BROKER": "kafka", "KAFKA_BROKERS": servers, "HERALD_KAFKA_GROUP": uuid.uuid4().hex}
    async with site(shared, 2, **kafka_settings) as at, crowds(at, [socket_request(Server.path)] * FEW) as both:
        await _share_the_topic(at)
        for count in (WARM_UP, MEASURED):
            taken: list[list[float]] = []
            for some in both:
                some.expect(count)
                some.tally.latencies = []
                taken.append(some.tally.latencies)
            await produce_steadily(producer, count, partition=0)
            for some in both:
                await some.all_received(PATIENCE)
        first, second = [await stored_by(node) for node in at.nodes]
        if min(first, second) > 0:
            raise RuntimeError("both nodes have stored events of one partition")
        here, there = taken if first else reversed(taken)
        return p50_p99(here), p50_p99(there)


async def _share_the_topic(at: Site) -> None:
    async with asyncio.timeout(PATIENCE):
        for node in at.nodes:
            while len(await _assigned(node)) != 1:  # noqa: ASYNC110 - another process knows
                await asyncio.sleep(GLANCE)


async def _assigned(node: Server) -> list[str]:
    _, answer = await node.request("GET", "/health")
    return [partition for source in json.loads(answer)["sources"] for partition in source["assigned"]]


async def _untouched(shared: Services) -> tuple[int, float, float]:
    """Messages that a node has heard of what is for others, and its milliseconds of processor time a second before and
    meanwhile. The others are all at the other node."""
    strangers = [socket_request(f"/ws?user_id=other-{number}") for number in range(CLIENTS)]
    requests = [strangers[number] if number % 2 else INBOXES.request(number) for number in range(CLIENTS)]
    async with site(shared, 2, HERALD_PROFILE=INBOXES.profile) as at, crowds(at, requests) as (touched, _):
        here, there = at.nodes
        await asyncio.sleep(SETTLED)
        heard_before = await heard(there)
        quiet = (await at.spent_in(WATCHED)).nodes[1] / WATCHED
        touched.expect(LONG.events // INBOXES.share)
        before, began = there.cpu, time.perf_counter()
        async for number in steadily(LONG.events, LONG.seconds):
            await here.post(INBOXES.event(number).encode())
        busy = (there.cpu - before) / (time.perf_counter() - began)
        await touched.all_received(PATIENCE)
        if not await heard(here):
            raise RuntimeError("nothing has gone by Redis")
        return await heard(there) - heard_before, quiet * 1e3, busy * 1e3
