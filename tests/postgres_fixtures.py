"""The PostgreSQL that tests share: one server a session, started by the first test that asks, and a database a test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Skips what asks for it where no PostgreSQL can run; fails it where HERALD_REQUIRE_REAL=1 says that one must.

    A test that stops it starts it again, whatever happens.
    """
    # Not pytest's own folder, which the next session closes to all other users: PostgreSQL may run as one of them.
    with tempfile.TemporaryDirectory(prefix="herald-postgres-") as directory:
        try:
            server = Postgres(Path(directory))
            server.start()
        except Exception as fault:
            (pytest.fail if real_is_required() else pytest.skip)(f"needs a real PostgreSQL: {fault}")
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database with all tables, and nothing in them."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database without any table."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)
