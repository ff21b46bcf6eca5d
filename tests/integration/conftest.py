"""The SQL store on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from adapters.clock import Uuid7Factory
from adapters.sql.database import Database
from adapters.sql.store import SqlStore


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, 5)
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> SqlStore:
    return SqlStore(database, Uuid7Factory())
