"""The PostgreSQL that tests share: one server per test session, started on first use, and one database per test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL. If none can run, the test is skipped, or fails if HERALD_REQUIRE_REAL=1.

    A test that stops the server must start it again in any case.
    """
    # Not pytest's temporary folder: the next session closes it to other users, and PostgreSQL may run as one of them.
    with tempfile.TemporaryDirectory(prefix="herald-postgres-") as directory:
        try:
            server = Postgres(Path(directory))
            server.start()
        except Exception as error:
            (pytest.fail if real_is_required() else pytest.skip)(f"needs a real PostgreSQL: {error}")
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database with all tables and no rows."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database without tables."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)
