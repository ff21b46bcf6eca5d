"""Blocks Herald's transactions in PostgreSQL at a chosen step, so that a test can cause a fault exactly there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import asyncpg

_GATE: Final = 4711

# The lock that blocks each step. A node that is killed during its commit has stored the batch, but not acknowledged it.
INBOXES: Final = "SELECT 1 FROM inboxes WHERE user_id LIKE '%-7' FOR UPDATE"
NOTIFICATIONS: Final = "LOCK TABLE notifications IN SHARE MODE"
BROADCASTS: Final = "SELECT 1 FROM feeds FOR UPDATE"
COMMIT: Final = f"SELECT pg_advisory_xact_lock({_GATE})"

_WAITING: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    " AND application_name = 'herald'"
)


class Brake:
    """Blocks transactions of Herald at a chosen step, by a lock that another session on the same database holds."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("+asyncpg", "")

    async def fit(self) -> None:
        """Install a deferred trigger that requests a lock, so that commits can be stopped too."""
        connection = await asyncpg.connect(self._url)
        await connection.execute(
            f"""
            CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock_shared({_GATE}); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON broadcasts DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION pass();
            """
        )
        await connection.close()

    @contextlib.asynccontextmanager
    async def holding(self, lock: str, transactions: int = 1) -> AsyncIterator[None]:
        """Hold a lock until the end of the block. The block begins once that many transactions wait for it."""
        connection = await asyncpg.connect(self._url)
        try:
            async with connection.transaction():
                assert await connection.execute(lock) != "SELECT 0", "there is nothing yet that it could lock"
                async with asyncio.timeout(20):
                    while await connection.fetchval(_WAITING) < transactions:
                        await asyncio.sleep(0.01)
                yield
        finally:
            await connection.close()
