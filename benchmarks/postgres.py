"""A real PostgreSQL for the benchmarks, on the clients' core, with notifications."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.support.postgres import Postgres

__all__ = ["Postgres", "connected", "filled", "postgres"]

# Fully durable (fsync is on). Checkpoints and vacuums are avoided, because they would affect random rounds.
SETTINGS: Final = ("max_wal_size=16GB", "checkpoint_timeout=1h", "autovacuum=off")

# Inserts rows as Herald stores them: one for each row (number, user) of the query `chosen`, in its order.
INSERT_NOTIFICATIONS: Final = """
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
INSERT_INBOXES: Final = """
    INSERT INTO inboxes (user_id, last_seq, unread_count, entry_count, oldest_at)
    SELECT user_id, count(*), count(*), count(*), min(created_at) FROM notifications GROUP BY user_id
"""


@contextmanager
def postgres() -> Iterator[Postgres]:
    # Write the data of earlier benchmarks to disk now, not during a round.
    os.sync()
    with tempfile.TemporaryDirectory() as directory:
        # PostgreSQL may run as another user.
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
    """Creates a database with an unread notification for each row (number, user) of the query `chosen`. Returns its
    URL."""
    url = server.create()
    async with connected(url) as connection:
        await connection.execute(INSERT_NOTIFICATIONS.format(chosen=chosen))
        await connection.execute(INSERT_INBOXES)
        await connection.execute("VACUUM ANALYZE")
    return url
