"""Two nodes: the latency of entries that one node stores for clients of the other, and the cost of a node whose clients
receive none of the entries."""

import asyncio
import json
import time
import uuid
from typing import Final

from benchmarks.broker import kafka
from benchmarks.clients import socket_request
from benchmarks.kafka import POLL_INTERVAL_S, SIGNALS, produce_at_intervals, stored_by, unbuffered_producer
from benchmarks.loads import CLIENTS, INBOXES, TIMEOUT_S
from benchmarks.nodes import Deployment, Services, client_groups, received_messages, running_deployment, services
from benchmarks.pace import STEADY, at_intervals
from benchmarks.report import Row, alternate, p50_p99
from benchmarks.servers import Server

# The number of clients of both nodes together, and the number of events before and during the measurement.
CLIENTS_OF_BOTH: Final = 20
WARM_UP: Final = 200
MEASURED: Final = 2_000

# The events that are published while the node without recipients is measured. Before that, its idle load is measured
# for WATCHED_S seconds, beginning SETTLING_S seconds after the clients have connected.
PACE: Final = STEADY._replace(events=500)
WATCHED_S: Final = PACE.events * PACE.seconds
SETTLING_S: Final = 5.0


async def to_socket(rounds: int) -> list[Row]:
    with kafka() as broker, services() as shared:
        # Two partitions, one for each node; events are published to the first only.
        broker.create_topic(SIGNALS, 2)
        (runs,) = await alternate(rounds, lambda: _latencies(broker.servers, shared))
    each = CLIENTS_OF_BOTH // 2
    what = f"Kafka to socket, {each} WebSockets at another node, vs {each} at the node that stored the event:"
    rows = []
    for index, name in enumerate(("p50", "p99")):
        here, there = ([run[place][index] for run in runs] for place in range(2))
        rows.append(Row(f"{what} {name}", "ms", there, here, "≤", 1.5))
    return rows


async def without_recipients(rounds: int) -> list[Row]:
    with services() as shared:
        (runs,) = await alternate(rounds, lambda: _node_without_recipients(shared))
    messages, quiet, busy = ([run[figure] for run in runs] for figure in range(3))
    what = f"a node with {CLIENTS // 2} users and none of the recipients:"
    return [
        Row(f"{what} backplane messages received", "", messages, None, "≤", 0, "value"),
        Row(f"{what} CPU per second while others publish, vs before", "ms", busy, quiet, "≤", 1.2),
    ]


async def _latencies(servers: str, shared: Services) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns p50 and p99 in milliseconds: of clients of the node that stores the events, and of the other node."""
    producer = unbuffered_producer(servers)
    kafka_settings = {"HERALD_BROKER": "kafka", "KAFKA_BROKERS": servers, "HERALD_KAFKA_GROUP": uuid.uuid4().hex}
    async with (
        running_deployment(shared, 2, **kafka_settings) as deployment,
        client_groups(deployment, [socket_request(Server.path)] * CLIENTS_OF_BOTH) as both,
    ):
        await _until_both_have_a_partition(deployment)
        for count in (WARM_UP, MEASURED):
            latencies: list[list[float]] = []
            for group in both:
                group.expect(count)
                group.progress.latencies = []
                latencies.append(group.progress.latencies)
            await produce_at_intervals(producer, count, partition=0)
            for group in both:
                await group.all_received(TIMEOUT_S)
        first, second = [await stored_by(node) for node in deployment.nodes]
        if min(first, second) > 0:
            raise RuntimeError("both nodes have stored events of the same partition")
        here, there = latencies if first else reversed(latencies)
        return p50_p99(here), p50_p99(there)


async def _until_both_have_a_partition(deployment: Deployment) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        for node in deployment.nodes:
            while len(await _assigned(node)) != 1:  # noqa: ASYNC110 - the state of another process
                await asyncio.sleep(POLL_INTERVAL_S)


async def _assigned(node: Server) -> list[str]:
    _, answer = await node.request("GET", "/health")
    return [partition for source in json.loads(answer)["sources"] for partition in source["assigned"]]


async def _node_without_recipients(shared: Services) -> tuple[int, float, float]:
    """The backplane messages that a node without recipients has received, and its CPU time in milliseconds per second
    before and while the other node, which has all recipients, publishes."""
    others = [socket_request(f"/ws?user_id=other-{number}") for number in range(CLIENTS)]
    requests = [others[number] if number % 2 else INBOXES.request(number) for number in range(CLIENTS)]
    async with (
        running_deployment(shared, 2, HERALD_PROFILE=INBOXES.profile) as deployment,
        client_groups(deployment, requests) as (recipients, _),
    ):
        here, there = deployment.nodes
        await asyncio.sleep(SETTLING_S)
        received_before = await received_messages(there)
        quiet = (await deployment.cpu_time_in(WATCHED_S)).nodes[1] / WATCHED_S
        recipients.expect(PACE.events // INBOXES.share)
        before, began = there.cpu, time.perf_counter()
        async for number in at_intervals(PACE.events, PACE.seconds):
            await here.post(INBOXES.event(number).encode())
        busy = (there.cpu - before) / (time.perf_counter() - began)
        await recipients.all_received(TIMEOUT_S)
        if not await received_messages(here):
            raise RuntimeError("no message was sent through Redis")
        return await received_messages(there) - received_before, quiet * 1e3, busy * 1e3
