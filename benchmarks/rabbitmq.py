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

from benchmarks.kafka import PATIENCE, ingested
from benchmarks.postgres import postgres
from benchmarks.report import Row, in_turn
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
    """Each run has a queue of its own, as Herald declares it, with the same events in it."""
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
                printed, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
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
                rate = await ingested(serving, EVENTS * RECIPIENTS)
                database.drop(url)
                return rate

            bared, stored = await in_turn(rounds, bare, ours)
    what = f"RabbitMQ to PostgreSQL, {RECIPIENTS} recipients an event, rows, against consume, executemany and ack"
    return [Row(what, "/s", stored, bared, "≥", 0.75)]
