"""From Kafka into PostgreSQL, and through PostgreSQL to a socket."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Iterable
from typing import Final

from benchmarks.broker import kafka
from benchmarks.kafka import CLIENTS, RATE, SIGNALS, TIMEOUT_S, ingest_rate, ingesting_server, latency
from benchmarks.postgres import postgres
from benchmarks.report import Row, alternate
from benchmarks.servers import herald, start_pinned
from tests.support.kafka import RealKafka

EVENTS: Final = 10_000
SINGLE_EVENTS: Final = 1_000
USERS: Final = 2_000
RECIPIENTS: Final = 5

TOPIC: Final = "risk-events"


async def ingest(rounds: int) -> list[Row]:
    with kafka() as broker, postgres() as database:
        produce_alerts(broker, EVENTS)

        async def bare(kind: str, events: int) -> float:
            url = database.create()
            command = [sys.executable, "-m", "benchmarks.bare_store", kind, broker.servers, TOPIC, str(events), url]
            process = start_pinned(command, {}, stdout=subprocess.PIPE)
            printed, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
            database.drop(url)
            return float(printed)

        async def ours() -> float:
            url = database.create()
            rate = await ingest_rate(ingesting_server(broker.servers, DATABASE_URL=url), EVENTS * RECIPIENTS)
            database.drop(url)
            return rate

        batches, singles, stored = await alternate(
            rounds, lambda: bare("batches", EVENTS), lambda: bare("singles", SINGLE_EVENTS), ours
        )
    what = f"Kafka to PostgreSQL, {RECIPIENTS} recipients per event, rows, vs"
    return [
        Row(f"{what} getmany, executemany and commit", "/s", stored, batches, "≥", 0.75),
        Row(f"{what} one INSERT per recipient", "/s", stored, singles, "≥", 8),
    ]


async def to_socket(rounds: int) -> list[Row]:
    with kafka() as broker, postgres() as database:
        broker.create_topic(SIGNALS)

        async def through(url: str) -> tuple[float, float]:
            serving = herald(
                HERALD_BROKER="kafka",
                KAFKA_BROKERS=broker.servers,
                HERALD_KAFKA_GROUP=uuid.uuid4().hex,
                DATABASE_URL=url,
            )
            return await latency(broker.servers, serving)

        without, stored = await alternate(rounds, lambda: through("memory:"), lambda: through(database.create()))
    what = f"Kafka through PostgreSQL to socket, {RATE} events/s to {CLIENTS} WebSockets, vs no database: p99"
    return [Row(what, "ms", [run[1] for run in stored], [run[1] for run in without], "≤", 3)]


def produce_alerts(broker: RealKafka, events: int, extra: str | None = None) -> None:
    """Produces events for users, with alternating recipients. Every tenth event is also for `extra`."""
    broker.create_topic(TOPIC)
    for first in range(0, events, 10_000):
        broker.produce(TOPIC, alerts(range(first, min(events, first + 10_000)), extra))


def alerts(numbers: Iterable[int], extra: str | None = None) -> list[bytes]:
    return [json.dumps(_alert(number, extra)).encode() for number in numbers]


def _alert(number: int, extra: str | None) -> dict[str, object]:
    # 7 is coprime to the number of users, so that the same five users do not always occur together.
    users = [f"u-{(number * 7 + other * 401) % USERS}" for other in range(RECIPIENTS)]
    if extra is not None and number % 10 == 0:
        users[0] = extra
    return {
        "event_id": f"e-{number}",
        "user_id": users,
        "severity": "high",
        "message": "Position limit is near",
        "timestamp": "2025-01-29T10:00:00Z",
    }
