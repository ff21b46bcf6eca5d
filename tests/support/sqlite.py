"""Database files for tests, copied from one whose tables exist: migrating each would take ten times as long."""

import asyncio
import shutil
import sqlite3
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path

from adapters.sql.database import Database
from adapters.sql.schema import Schema


def create_database(file: Path) -> None:
    """Create a database with all tables and no rows, except for a new epoch."""
    shutil.copyfile(_template(), file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE store_state SET value = ? WHERE name = 'epoch'", (uuid.uuid4().hex[-12:],))


@cache
def _template() -> Path:
    file = Path(tempfile.mkdtemp(prefix="herald-template-")) / "herald.db"
    # In a thread, since the caller may run in an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _upgrade(f"sqlite+aiosqlite:///{file}")).result()
    return file


async def _upgrade(url: str) -> None:
    database = Database(url, 1)
    await Schema(database).upgrade()
    await database.close()
