"""A real PostgreSQL for the benchmarks, on the clients' core, and notifications in it."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.support.postgres import Postgres

__all__ = ["Postgres", "connected", "filled", "postgres"]

# As durable as it comes: a commit is on the disk. Checkpoints and vacuums would fall into some round by chance.
SETTINGS: Final = ("max_wal_size=16GB", "checkpoint_timeout=1h", "autovacuum=off")

# Rows as Herald would have stored them, one of them for each user that `chosen` gives, in its order.
FILL: Final = """
    INSERT INTO notifications (
        id, user_id, seq, changed, created_at, updated_at, origin, event_id, source, notification_type, profile,
        envelope, body, event_time, title, message, data
    )
    SELECT lpad(to_hex(number), 32, '0')::uuid, user_id, seq, seq, now(), now(), 'risk-events', 'filled-' || number,
        'risk-events', 'risk_alert', 'trading',
        'typed', body, now(), 'Risk alert', 'Position limit is near', body::jsonb
    FROM (
        SELECT number, user_id, row_number() OVER (PARTITION BY user_id ORDER BY number) AS seq,
            json_build_object(
                'event_id', 'filled-' || number, 'user_id', user_id, 'severity', 'high',
                'message', 'Position limit is near', 'timestamp', '2025-01-29T10:00:00Z'
            )::text AS body
        FROM ({chosen}) AS chosen(number, user_id)
    ) AS counted
    ORDER BY number
"""
COUNT: Final = """
    INSERT INTO inboxes (user_id, last_seq, unread_count, entry_count, oldest_at)
    SELECT user_id, count(*), count(*), count(*), min(created_at) FROM notifications GROUP BY user_id
"""


@contextmanager
def postgres() -> Iterator[Postgres]:
    # What others have written shall not reach the disk in the middle of a round.
    os.sync()
    with tempfile.TemporaryDirectory() as directory:
        # It runs as a user of its own, who is to reach its data.
        Path(directory).chmod(0o755)
        server = Postgres(Path(directory), SETTINGS)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


async def filled(server: Postgres, chosen: str) -> str:
    """The URL of a new database with an unread notification for each row (number, user) of a query, in order."""
    url = server.create()
    async with connected(url) as connection:
        await connection.execute(FILL.format(chosen=chosen))
        await connection.execute(COUNT)
        await connection.execute("VACUUM ANALYZE")
    return url
