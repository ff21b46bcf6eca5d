"""From Kafka to a socket, and from Kafka into the store."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from typing import Final

from confluent_kafka import Producer

from benchmarks.broker import kafka
from benchmarks.clients import PlainSocket, client_group, socket_request, stamped
from benchmarks.pace import at_intervals
from benchmarks.report import Row, alternate, p50_p99
from benchmarks.servers import Server, Serving, bare_loop, herald, start_pinned

SIGNALS: Final = "trading_signals"

CLIENTS: Final = 10
RATE: Final = 200
DURATION_S: Final = 10
MESSAGE_BYTES: Final = 200
WARM_UP: Final = 200

EVENTS: Final = 150_000
USERS: Final = 1_000
TIMEOUT_S: Final = 120.0

# The interval in seconds of requests to /metrics, each of which takes Herald about 1 ms of CPU time.
POLL_INTERVAL_S: Final = 0.1


async def to_socket(rounds: int) -> list[Row]:
    with kafka() as broker:
        broker.create_topic(SIGNALS)
        environment = {"HERALD_BROKER": "kafka", "KAFKA_BROKERS": broker.servers}
        reference, ours = await alternate(
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
        bare, committing, ours = await alternate(
            rounds,
            lambda: _run_bare_loop(broker.servers, "decode"),
            lambda: _run_bare_loop(broker.servers, "commit"),
            lambda: ingest_rate(ingesting_server(broker.servers), EVENTS),
        )
    what = "ingest from Kafka, one recipient per event, vs"
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
    """Returns p50 and p99 in milliseconds of the time from passing an event to the producer until a client has read
    it."""
    producer = unbuffered_producer(servers)
    async with (
        serving as server,
        client_group(server.port, PlainSocket, [socket_request(server.path)] * CLIENTS) as clients,
    ):
        for count in (WARM_UP, RATE * DURATION_S):
            latencies = clients.progress.latencies = []
            clients.expect(count)
            await produce_at_intervals(producer, count)
            await clients.all_received(TIMEOUT_S)
        return p50_p99(latencies)


def unbuffered_producer(servers: str) -> Producer:
    return Producer({"bootstrap.servers": servers, "linger.ms": 0, "log_level": 0})


async def produce_at_intervals(producer: Producer, count: int, partition: int = -1) -> None:
    """Produces events of the profile `signals` at intervals. Each contains the time at which it was passed to the
    producer."""
    async for _ in at_intervals(count, 1 / RATE):
        producer.produce(SIGNALS, stamped(MESSAGE_BYTES).encode(), partition=partition)
        producer.poll(0)


async def _run_bare_loop(servers: str, loop: str) -> float:
    """Runs one of the loops of `bare_kafka` and returns its events per second."""
    command = [sys.executable, "-m", "benchmarks.bare_kafka", loop, servers, "risk-events", str(EVENTS)]
    process = start_pinned(command, {}, stdout=subprocess.PIPE)
    printed, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
    return float(printed)


def ingesting_server(servers: str, **environment: str) -> Serving:
    """Returns a Herald that reads the topics of the profile `trading` from their beginning, in a new group."""
    return herald(**from_the_beginning(servers), ready="/health/live", **environment)


def from_the_beginning(servers: str) -> dict[str, str]:
    return {
        "HERALD_PROFILE": "trading",
        "HERALD_BROKER": "kafka",
        "KAFKA_BROKERS": servers,
        "HERALD_KAFKA_GROUP": uuid.uuid4().hex,
        "HERALD_KAFKA_START": "earliest",
    }


async def ingest_rate(serving: Serving, entries: int) -> float:
    """Returns the entries per second that a server stores, from its first stored entry to its last."""
    async with serving as server:
        began, first = await until_stored(server, 1)
        ended, last = await until_stored(server, entries)
        return (last - first) / (ended - began)


async def until_stored(server: Server, entries: int) -> tuple[float, int]:
    """Waits until the server has stored at least `entries` entries. Returns the time, and the number of stored
    entries."""
    deadline = time.perf_counter() + TIMEOUT_S
    while (stored := await stored_by(server)) < entries:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"Herald has stored {stored} of {entries} entries")
        await asyncio.sleep(POLL_INTERVAL_S)
    return time.perf_counter(), stored


async def stored_by(server: Server) -> int:
    """Returns the number of entries that the server has stored since its start."""
    _, answer = await server.request("GET", "/metrics")
    return int(json.loads(answer)["events"]["stored"])
