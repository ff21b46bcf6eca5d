"""The database: connections, and transactions that are retried on conflicts."""

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, TypeVar

import msgspec
from advanced_alchemy.config import EngineConfig, SQLAlchemyAsyncConfig
from sqlalchemy import Executable, Row, event, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.sql.errors import ConnectionLost, TransactionConflict, translated, writing
from adapters.sql.poolers import apply_limits, connect_arguments
from adapters.sql.settings import Pooler
from adapters.sql.tls import without_tls
from application.counters import Counters, Histogram
from application.ports.store import StoreUnavailable
from domain.backoff import Backoff

T = TypeVar("T")


class Timeouts(msgspec.Struct, frozen=True):
    """Timeouts of the database, in seconds.

    `statement` limits the run time of one statement, `connect` the time to open a connection, and `pool` the wait for a
    free connection of the pool. `lock` limits the wait for a lock; a write is then rolled back and retried.
    `idle_in_transaction` limits how long a transaction may be idle, so that a node that freezes loses its locks. It is
    shorter than `lock`, so transactions that wait for these locks usually get them.
    """

    idle_in_transaction: float = 4
    lock: float = 6
    statement: float = 30
    connect: float = 5
    pool: float = 5

    def limits(self) -> dict[str, str]:
        """Returns the settings of a PostgreSQL session, for example `{"lock_timeout": "6000ms", …}`: the timeouts of
        statements, locks and idle transactions, and JIT off."""
        return {
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_in_transaction),
            "lock_timeout": _milliseconds(self.lock),
            "statement_timeout": _milliseconds(self.statement),
            # JIT compilation never pays off for statements this small.
            "jit": "off",
        }

    def lock_limit(self) -> dict[str, str]:
        """Returns the setting of a PostgreSQL session that limits only the wait for locks. Migrations use it, because
        their statements may take long."""
        return {"lock_timeout": _milliseconds(self.lock)}


TIMEOUTS: Final = Timeouts()

# The server detects the loss of this machine in the same time as KEEPALIVE below.
SERVER_KEEPALIVE: Final = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "2"}

# TCP keep-alive: seconds of silence before the first probe, seconds between probes, number of unanswered probes. The
# loss of the database's machine is detected after 15 s.
KEEPALIVE: Final = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2))

# Maximum number of attempts of a conflicting transaction, and the delay between them.
MAX_ATTEMPTS: Final = 5
CONFLICT_RETRY: Final = Backoff(initial_s=0.04, max_s=0.32, jitter=1.0)


class Database:
    """One database (PostgreSQL, or an SQLite file), and the connections of this process to it. The SQL adapters read
    and write through this class only.

    The durations of reads and writes are recorded in `counters`. On SQLite, only one write runs at a time.
    """

    def __init__(
        self,
        url: str,
        connections: int = 10,
        counters: Counters | None = None,
        pooler: Pooler = "none",
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """`connections` is the size of the connection pool. `pooler` is the mode of a connection pooler between this
        process and PostgreSQL: `none` (there is no pooler), `session` or `transaction`."""
        self.pooler = pooler
        self.timeouts = timeouts
        self._counters = counters or Counters()
        self.connections = connections
        address, self.tls = without_tls(make_url(url))
        self.is_postgresql = address.get_backend_name() == "postgresql"
        self.config = SQLAlchemyAsyncConfig(
            connection_string=address.render_as_string(hide_password=False),
            engine_config=EngineConfig(
                pool_size=connections,
                max_overflow=0,
                pool_timeout=timeouts.pool,  # type: ignore[arg-type]  # fractions are possible
                # Error texts are logged, and parameter values are personal data: addresses and contents.
                hide_parameters=True,
                **self._connect_arguments(),
            ),
        )
        self.engine: AsyncEngine = self.config.get_engine()
        # Single statements need no explicit transaction: one round trip instead of three.
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        if self.is_postgresql:
            apply_limits(self.engine.sync_engine, pooler, timeouts.limits())
        if pooler == "transaction":
            # In autocommit mode, preparing and executing a statement would be two transactions, possibly on two server
            # sessions.
            self._reading = self.engine
        self._working: set[asyncio.Task[Any]] = set()
        # SQLite makes waiting writers poll; this lock wakes them up at once, in order.
        self._turn: AbstractAsyncContextManager[Any] = nullcontext() if self.is_postgresql else asyncio.Lock()
        event.listen(self.engine.sync_engine, "connect", _keep_alive if self.is_postgresql else _prepare_sqlite)
        if not self.is_postgresql:
            event.listen(self.engine.sync_engine, "begin", _begin_immediate)

    def insert(self, table: Any) -> Any:
        """Returns an INSERT statement for this database that supports ON CONFLICT."""
        return (postgresql_insert if self.is_postgresql else sqlite_insert)(table)

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Calls `work` with a connection, and returns its result. `work` must only read. If the connection is lost,
        calls `work` once more with a new connection. Raises StoreUnavailable and Refused."""
        return await self._run_shielded(self._read_patiently(work), self._counters.store_read)

    async def fetch(self, statement: Executable, parameters: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Runs a statement that only reads, and returns all its rows. Raises StoreUnavailable and Refused."""

        async def ask(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(statement, parameters)).all()

        return await self.read(ask)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Calls `work` in a transaction, commits, and returns the result of `work`. After a conflict with another
        transaction, rolls back and calls `work` again, up to MAX_ATTEMPTS times in total. Raises StoreUnavailable and
        Refused, after a rollback."""
        return await self._run_shielded(self._write_patiently(work), self._counters.store_write)

    async def _run_shielded(self, work: Coroutine[Any, Any, T], timing: Histogram) -> T:
        """Runs `work` in a task, and returns its result. If the caller is cancelled (for example because a client
        disconnects), `work` still runs to its end. The seconds that the caller waited are recorded in `timing`."""
        # Cancelling `work` while it takes a connection from the pool would leak that connection.
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)
        began = time.perf_counter()
        try:
            return await asyncio.shield(task)
        finally:
            timing.observe(time.perf_counter() - began)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved, even if the caller was cancelled

    async def _read_patiently(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        try:
            return await self._read(work)
        except ConnectionLost:
            # The connection may have been lost while idle in the pool; retry with a new one.
            return await self._read(work)

    async def _read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with translated():
            async with self._reading.connect() as connection:
                return await work(connection)

    async def _write_patiently(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        for attempt in range(1, MAX_ATTEMPTS):
            try:
                return await self._write(work)
            except TransactionConflict:
                await asyncio.sleep(CONFLICT_RETRY.delay_s(attempt, random.random()))
        return await self._write(work)

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._turn:
            with translated():
                async with self.engine.begin() as connection:
                    with writing():
                        return await work(connection)

    async def ping(self) -> None:
        """Checks that the database can be written now. Raises StoreUnavailable if it can't, for example if the server
        is a standby."""

        async def ask(connection: AsyncConnection) -> None:
            if self.is_postgresql and await connection.scalar(text("SELECT pg_is_in_recovery()")):
                raise StoreUnavailable("the database server is a standby, which is read-only")

        await self.write(ask)

    async def close(self) -> None:
        """Waits at most `Timeouts.lock` seconds for running reads and writes to end. Then closes all connections."""
        if self._working:
            await asyncio.wait(self._working, timeout=self.timeouts.lock)
        await self.engine.dispose()

    def _connect_arguments(self) -> dict[str, Any]:
        if not self.is_postgresql:
            return {"connect_args": {"timeout": self.timeouts.lock}}
        timeouts, limits = self.timeouts, self.timeouts.limits()
        if self.pooler == "none":
            # Keep-alive settings only make sense if the server is connected to this process directly.
            limits |= SERVER_KEEPALIVE
        arguments: dict[str, Any] = {"timeout": timeouts.connect, "command_timeout": timeouts.statement + 1, **self.tls}
        arguments |= connect_arguments(self.pooler, "herald", limits)
        return {"connect_args": arguments, "pool_use_lifo": True}


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _keep_alive(connection: Any, _: Any) -> None:
    peer = connection.driver_connection._transport.get_extra_info("socket")
    if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # SQLAlchemy begins transactions (see `_begin_immediate`), not the driver implicitly.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # WAL: readers and the writer do not block one another. FULL: committed data is on the disk.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
    except Exception:
        # The pool does not own the connection yet; if it is not closed here, its thread is leaked.
        connection.close()
        raise
    finally:
        cursor.close()


def _begin_immediate(connection: Any) -> None:
    # A deferred transaction that reads first and writes later fails if the file has changed in between.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
