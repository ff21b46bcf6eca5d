"""PgBouncers, for tests that put one in front of their own database."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.pgbouncer import PgBouncer, missing
from tests.support.postgres import Postgres
from tests.support.service import real_is_required

StartPgBouncer = Callable[..., PgBouncer]


@pytest.fixture
def start_pgbouncer(postgres: Postgres) -> Iterator[StartPgBouncer]:
    """Starts a pooler: `start_pgbouncer(mode, more settings)`. If no PgBouncer can run, the test is skipped, or fails
    if HERALD_REQUIRE_REAL=1."""
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real PgBouncer: {reason}")
    started: list[PgBouncer] = []
    # Not pytest's temporary folder, which the user of PgBouncer cannot access.
    with tempfile.TemporaryDirectory(prefix="herald-pgbouncer-") as directory:

        def start(mode: str, *but: str) -> PgBouncer:
            own = Path(directory) / str(len(started))
            own.mkdir()
            Path(directory).chmod(0o755)
            started.append(PgBouncer(own, postgres.port, mode, but))
            started[-1].start()
            return started[-1]

        yield start
        for pgbouncer in started:
            pgbouncer.stop()
