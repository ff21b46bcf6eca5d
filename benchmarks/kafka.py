"""From Kafka: to a socket, and into the store."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from typing import Final

from confluent_kafka import Producer

from benchmarks.broker import kafka
from benchmarks.clients import PlainSocket, crowd, socket_request, stamped
from benchmarks.pace import steadily
from benchmarks.report import Row, in_turn, p50_p99
from benchmarks.servers import Server, Serving, bare_loop, herald, start_pinned

SIGNALS: Final = "trading_signals"

CLIENTS: Final = 10
RATE: Final = 200
SECONDS: Final = 10
SIZE: Final = 200
WARM_UP: Final = 200

EVENTS: Final = 150_000
USERS: Final = 1_000
PATIENCE: Final = 120.0

# How often Herald is asked how much it has stored: the question costs it about a millisecond.
GLANCE: Final = 0.1


async def to_socket(rounds: int) -> list[Row]:
    with kafka() as broker:
        broker.create_topic(SIGNALS)
        environment = {"HERALD_BROKER": "kafka", "KAFKA_BROKERS": broker.servers}
        reference, ours = await in_turn(
            rounds,
            lambda: latency(broker.servers, bare_loop(broker.servers, SIGNALS)),
            lambda: latency(broker.servers, herald(**environment, HERALD_KAFKA_GROUP=uuid.uuid4().hex)),
        )
    rows = []
    for index, name in enumerate(("p50", "p99")):
        theirs, mine = [run[index] for run in reference], [run[index] for run in ours]
        rows.append(
            Row(f"Kafka to socket, {RATE} events/s to {CLIENTS} WebSockets: {name}", "ms", mine, theirs, "≤", 1.5)
        )
    return rows


async def ingest(rounds: int) -> list[Row]:
    with kafka() as broker:
        broker.create_topic("risk-events")
        bodies = [json.dumps(_alert(number)).encode() for number in range(EVENTS)]
        for first in range(0, EVENTS, 10_000):
            broker.produce("risk-events", bodies[first : first + 10_000])
        bare, committing, ours = await in_turn(
            rounds,
            lambda: _decoded(broker.servers, "decode"),
            lambda: _decoded(broker.servers, "commit"),
            lambda: ingested(ingesting(broker.servers), EVENTS),
        )
    what = "ingest from Kafka, one recipient an event, against"
    return [
        Row(f"{what} getmany and decode", "/s", ours, bare, "≥", 0.5),
        Row(f"{what} getmany, decode and commit", "/s", ours, committing, "≥", 0.5),
    ]


def _alert(number: int) -> dict[str, str]:
    return {
        "event_id": f"e-{number}",
        "user_id": f"u-{number % USERS}",
        "severity": "high",
        "message": "Position limit is near",
        "timestamp": "2025-01-29T10:00:00Z",
    }


async def latency(servers: str, serving: Serving) -> tuple[float, float]:
    """p50 and p99 in milliseconds, from before the event is handed to the producer to after it was read."""
    producer = prompt_producer(servers)
    async with serving as server, crowd(server.port, PlainSocket, [socket_request(server.path)] * CLIENTS) as clients:
        for count in (WARM_UP, RATE * SECONDS):
            latencies = clients.tally.latencies = []
            clients.expect(count)
            await produce_steadily(producer, count)
            await clients.all_received(PATIENCE)
        return p50_p99(latencies)


def prompt_producer(servers: str) -> Producer:
    return Producer({"bootstrap.servers": servers, "linger.ms": 0, "log_level": 0})


async def produce_steadily(producer: Producer, count: int, partition: int = -1) -> None:
    """Signals that say when they were handed to the producer."""
    async for _ in steadily(count, 1 / RATE):
        producer.produce(SIGNALS, stamped(SIZE).encode(), partition=partition)
        producer.poll(0)


async def _decoded(servers: str, loop: str) -> float:
    """Events a second that a bare loop takes and decodes."""
    command = [sys.executable, "-m", "benchmarks.bare_kafka", loop, servers, "risk-events", str(EVENTS)]
    process = start_pinned(command, {}, stdout=subprocess.PIPE)
    printed, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    return float(printed)


def ingesting(servers: str, **environment: str) -> Serving:
    """A server that stores the addressed events of the profile `trading` from the first one on, in a group of its
    own."""
    return herald(**from_the_first(servers), ready="/health/live", **environment)


def from_the_first(servers: str) -> dict[str, str]:
    return {
        "HERALD_PROFILE": "trading",
        "HERALD_BROKER": "kafka",
        "KAFKA_BROKERS": servers,
        "HERALD_KAFKA_GROUP": uuid.uuid4().hex,
        "HERALD_KAFKA_START": "earliest",
    }


async def ingested(serving: Serving, entries: int) -> float:
    """Entries a second that a server stores, from its first to its last."""
    async with serving as server:
        began, first = await until_stored(server, 1)
        ended, last = await until_stored(server, entries)
        return (last - first) / (ended - began)


async def until_stored(server: Server, entries: int) -> tuple[float, int]:
    """When at least so many had been seen to be stored, and how many."""
    deadline = time.perf_counter() + PATIENCE
    while (stored := await stored_by(server)) < entries:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"Herald has stored {stored} of {entries} entries")
        await asyncio.sleep(GLANCE)
    return time.perf_counter(), stored


async def stored_by(server: Server) -> int:
    """How many entries the server has stored since its start."""
    _, answer = await server.request("GET", "/metrics")
    return int(json.loads(answer)["events"]["stored"])
