"""From RabbitMQ into PostgreSQL."""

import asyncio
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.kafka import TIMEOUT_S, ingest_rate
from benchmarks.postgres import postgres
from benchmarks.report import Row, alternate
from benchmarks.servers import herald, start_pinned
from benchmarks.store import RECIPIENTS, TOPIC, alerts
from tests.support.rabbitmq import RealRabbit, missing

__all__ = ["ingest", "missing"]

EVENTS: Final = 10_000


@asynccontextmanager
async def _rabbit() -> AsyncIterator[RealRabbit]:
    with tempfile.TemporaryDirectory() as directory:
        broker = RealRabbit(Path(directory))
        broker.start()
        try:
            yield broker
        finally:
            broker.discard()


async def ingest(rounds: int) -> list[Row]:
    """Measures ingest from RabbitMQ. Each run has a new queue, declared as by Herald, with the same events."""
    async with _rabbit() as broker:
        exchange = "events"
        queues = [uuid.uuid4().hex for _ in range(2 * rounds)]
        for queue in queues:
            await broker.ensure(broker.settings(queue, exchange=exchange), [TOPIC])
        await broker.publish(exchange, TOPIC, alerts(range(EVENTS)))
        with postgres() as database:

            async def bare() -> float:
                url = database.create()
                command = [sys.executable, "-m", "benchmarks.bare_rabbitmq", str(broker.port), queues.pop()]
                process = start_pinned([*command, str(EVENTS), url], {}, stdout=subprocess.PIPE)
                printed, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
                database.drop(url)
                return float(printed)

            async def ours() -> float:
                url = database.create()
                serving = herald(
                    HERALD_PROFILE="trading",
                    HERALD_BROKER="rabbitmq",
                    RABBITMQ_HOST="127.0.0.1",
                    HERALD_RABBITMQ_PORT=str(broker.port),
                    RABBITMQ_EXCHANGE=exchange,
                    RABBITMQ_QUEUE=queues.pop(),
                    ready="/health/live",
                    DATABASE_URL=url,
                )
                rate = await ingest_rate(serving, EVENTS * RECIPIENTS)
                database.drop(url)
                return rate

            reference, stored = await alternate(rounds, bare, ours)
    what = f"RabbitMQ to PostgreSQL, {RECIPIENTS} recipients per event, rows, vs consume, executemany and ack"
    return [Row(what, "/s", stored, reference, "≥", 0.75)]
