"""Mails: how fast they are sent, and whether pending mails delay live delivery."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.broker import kafka
from benchmarks.kafka import CLIENTS, RATE, SIGNALS, latency
from benchmarks.postgres import Postgres, connected, postgres
from benchmarks.report import Row, alternate
from benchmarks.servers import herald, start_pinned
from tests.support.service import free_port

DELIVERIES: Final = 2_000
WARM_UP: Final = 200
PENDING: Final = 100_000
CONNECTIONS: Final = 10
TIMEOUT_S: Final = 120.0

# The delay of each reply of the mail server, and the number of replies to a mail on a kept connection: to MAIL, RCPT,
# DATA and the mail itself.
REPLY_DELAY_MS: Final = 10.0
REPLIES_PER_MAIL: Final = 4

# Inserts deliveries as Herald stores them.
INSERT_DELIVERIES: Final = """
    INSERT INTO deliveries (
        id, origin, event_id, recipient, status, source, type, profile, payload, event_time, subject, template,
        order_id, created_at, updated_at, due_at
    )
    SELECT lpad(to_hex(number), 32, '0')::uuid, 'order.created', 'e-' || number, 'kim@example.com', 'pending',
        'order.created', 'order.created', 'orders',
        json_build_object(
            'order_id', 'o-' || number, 'customer_email', 'kim@example.com', 'customer_name', 'Kim', 'total', 42.5
        )::text,
        now(), 'Order received', 'order_created.html', 'o-' || number, now(), now(), now()
    FROM generate_series(1, {count}) number
"""


async def throughput(rounds: int) -> list[Row]:
    with postgres() as database:
        theirs, ours = await alternate(rounds, _reference_rate, lambda: _send_rate(database, DELIVERIES, 0))
        delay = [await _send_rate(database, DELIVERIES // 2, REPLY_DELAY_MS) for _ in range(rounds)]
    limit = CONNECTIONS / (REPLIES_PER_MAIL * REPLY_DELAY_MS / 1e3)
    what = f"{DELIVERIES:,} mails to a local server, vs connect, send, quit for one after another"
    slow = f"mails with {REPLY_DELAY_MS:g} ms per reply of the server, vs the limit of {CONNECTIONS} connections"
    return [
        Row(what, "/s", ours, theirs, "≥", 5),
        Row(slow, "/s", delay, [limit] * rounds, "≥", 0.8),
    ]


async def away(rounds: int) -> list[Row]:
    """Measures the latency of live delivery while mails are pending and the mail server is unavailable."""
    with kafka() as broker, postgres() as database:
        broker.create_topic(SIGNALS)

        async def through(pending: int) -> float:
            url = await _database_with_deliveries(database, pending)
            serving = herald(
                HERALD_PROFILE="signals,orders",
                HERALD_BROKER="kafka",
                KAFKA_BROKERS=broker.servers,
                HERALD_KAFKA_GROUP=uuid.uuid4().hex,
                DATABASE_URL=url,
                SMTP_HOST="127.0.0.1",
                SMTP_PORT=str(free_port()),
            )
            p99 = (await latency(broker.servers, serving))[1]
            database.drop(url)
            return p99

        without, pending = await alternate(rounds, lambda: through(0), lambda: through(PENDING))
    what = f"Kafka through PostgreSQL to socket, {RATE} events/s to {CLIENTS} WebSockets"
    return [
        Row(
            f"{what}, {PENDING:,} mails pending and SMTP unavailable, vs no mails: p99",
            "ms",
            pending,
            without,
            "≤",
            1.2,
        )
    ]


async def _reference_rate() -> float:
    async with _sink(0) as port:
        command = [sys.executable, "-m", "benchmarks.bare_mail", str(port), str(DELIVERIES // 4)]
        process = start_pinned(command, {}, stdout=subprocess.PIPE)
        printed, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
        return float(printed)


async def _send_rate(database: Postgres, count: int, delay: float) -> float:
    """Returns mails per second. The first WARM_UP mails are not measured, because the server has just started."""
    count += WARM_UP
    url = await _database_with_deliveries(database, count)
    async with _sink(delay) as port:
        serving = herald(
            HERALD_PROFILE="orders",
            DATABASE_URL=url,
            SMTP_HOST="127.0.0.1",
            SMTP_PORT=str(port),
            HERALD_SMTP_CONNECTIONS=str(CONNECTIONS),
            ready="/health/live",
        )
        async with serving:
            deadline = time.perf_counter() + TIMEOUT_S
            samples: list[tuple[float, int]] = []
            while not samples or samples[-1][1] < count:
                if time.perf_counter() > deadline:
                    raise RuntimeError(f"{samples[-1][1] if samples else 0} of {count} mails were sent")
                received = await _received(port)
                if received >= WARM_UP:
                    samples.append((time.perf_counter(), received))
                await asyncio.sleep(0.01)
    database.drop(url)
    (began, first), (ended, last) = samples[0], samples[-1]
    return (last - first) / (ended - began)


async def _database_with_deliveries(database: Postgres, count: int) -> str:
    url = database.create()
    async with connected(url) as connection:
        await connection.execute(INSERT_DELIVERIES.format(count=count))
        await connection.execute("VACUUM ANALYZE")
    return url


@asynccontextmanager
async def _sink(delay: float) -> AsyncIterator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.smtp_sink", str(port), str(delay))
    try:
        while True:
            try:
                await _received(port)
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _received(port: int) -> int:
    """Returns the number of mails that the sink has received."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.readline()
        writer.write(b"COUNT\r\n")
        return int((await reader.readline())[4:])
    finally:
        writer.close()
