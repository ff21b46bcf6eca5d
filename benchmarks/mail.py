"""Mails: how fast they go, and whether those that can't go are in anybody's way."""

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
from benchmarks.report import Row, in_turn
from benchmarks.servers import herald, start_pinned
from tests.support.service import free_port

DELIVERIES: Final = 2_000
WARM_UP: Final = 200
PENDING: Final = 100_000
CONNECTIONS: Final = 10
PATIENCE: Final = 120.0

# How late each of the mail server's answers is, in milliseconds, and how many there are to a mail on a kept
# connection: to MAIL, RCPT, DATA and the mail itself.
LATE: Final = 10.0
ANSWERS: Final = 4

# Deliveries as Herald would have stored them.
FILL: Final = """
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
        theirs, ours = await in_turn(rounds, _one_by_one, lambda: _sent(database, DELIVERIES, 0))
        late = [await _sent(database, DELIVERIES // 2, LATE) for _ in range(rounds)]
    limit = CONNECTIONS / (ANSWERS * LATE / 1e3)
    what = f"mails, {DELIVERIES:,} to a local server, against connect, send, quit for each in turn"
    most = f"mails, {LATE:g} ms to each answer, against what {CONNECTIONS} connections allow"
    return [
        Row(what, "/s", ours, theirs, "≥", 5),
        Row(most, "/s", late, [limit] * rounds, "≥", 0.8),
    ]


async def away(rounds: int) -> list[Row]:
    """The mail server is a port where nobody listens."""
    with kafka() as broker, postgres() as database:
        broker.create_topic(SIGNALS)

        async def through(pending: int) -> float:
            url = await _filled(database, pending)
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

        without, pending = await in_turn(rounds, lambda: through(0), lambda: through(PENDING))
    what = f"Kafka through PostgreSQL to socket, {RATE} events/s to {CLIENTS} WebSockets"
    return [
        Row(f"{what}, {PENDING:,} mails pending and SMTP away, against none: p99", "ms", pending, without, "≤", 1.2)
    ]


async def _one_by_one() -> float:
    async with _sink(0) as port:
        command = [sys.executable, "-m", "benchmarks.bare_mail", str(port), str(DELIVERIES // 4)]
        process = start_pinned(command, {}, stdout=subprocess.PIPE)
        printed, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        return float(printed)


async def _sent(database: Postgres, count: int, late: float) -> float:
    """Mails a second, once the first WARM_UP are sent: the server has only just started."""
    count += WARM_UP
    url = await _filled(database, count)
    async with _sink(late) as port:
        serving = herald(
            HERALD_PROFILE="orders",
            DATABASE_URL=url,
            SMTP_HOST="127.0.0.1",
            SMTP_PORT=str(port),
            HERALD_SMTP_CONNECTIONS=str(CONNECTIONS),
            ready="/health/live",
        )
        async with serving:
            deadline = time.perf_counter() + PATIENCE
            seen: list[tuple[float, int]] = []
            while not seen or seen[-1][1] < count:
                if time.perf_counter() > deadline:
                    raise RuntimeError(f"{seen[-1][1] if seen else 0} of {count} mails were sent")
                taken = await _taken(port)
                if taken >= WARM_UP:
                    seen.append((time.perf_counter(), taken))
                await asyncio.sleep(0.01)
    database.drop(url)
    (began, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - began)


async def _filled(database: Postgres, count: int) -> str:
    url = database.create()
    async with connected(url) as connection:
        await connection.execute(FILL.format(count=count))
        await connection.execute("VACUUM ANALYZE")
    return url


@asynccontextmanager
async def _sink(late: float) -> AsyncIterator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.smtp_sink", str(port), str(late))
    try:
        while True:
            try:
                await _taken(port)
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _taken(port: int) -> int:
    """How many mails the sink has taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.readline()
        writer.write(b"COUNT\r\n")
        return int((await reader.readline())[4:])
    finally:
        writer.close()
