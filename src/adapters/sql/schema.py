"""The schema: its current revision, and how it is upgraded and downgraded.

Data outlives the code, so every change of the tables is a revision (see `migrations`), which is run here. Alembic is
imported on demand: a node whose database is up to date does not need it, and importing it is slow.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import adapters.sql.triggers  # noqa: F401 - they belong to the tables
from adapters.sql.database import Database
from adapters.sql.errors import translated
from adapters.sql.poolers import apply_limits, connect_arguments
from adapters.sql.tls import is_untrusted
from application.ports.store import StoreUnavailable

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"

# The key of Herald's advisory lock in PostgreSQL.
LOCK_KEY: Final = 4_843_764_111

# Seconds between two attempts to get the lock.
LOCK_RETRY_S: Final = 0.2

# Errors that waiting does not resolve: no such user or wrong password, no such database, insufficient privilege;
# SQLite's texts for similar errors, and PgBouncer's for startup parameters that it does not know.
_HOPELESS_STATES: Final = ("28", "3D", "42501")
_HOPELESS_WORDS: Final = (
    "unable to open database file",
    "file is not a database",
    "readonly database",
    "unsupported startup parameter",
)


class SchemaOutdated(Exception):
    """The schema is older than this version of Herald needs. The text names the command to run."""


class MigrationRefused(Exception):
    """The revision does not exist or has no path to it, or the connection pooler does not allow migrations."""


class DatabaseUnusable(Exception):
    """The database rejects the connection, and retrying does not help."""


class Schema:
    """The schema of one database.

    Every method raises StoreUnavailable if the database can't be reached, and DatabaseUnusable if it rejects the
    connection.
    """

    def __init__(self, database: Database, folders: Sequence[Path] = (VERSIONS,)) -> None:
        """`folders` contain the revisions that this version of Herald knows; the first folder has the oldest ones."""
        self._database = database
        self._folders = folders
        self._known = known_revisions(folders)

    def head(self) -> str:
        """Returns the revision that this version of Herald needs."""
        return self._known[-1]

    async def current(self) -> str | None:
        """Returns the revision of the database; None if there are no tables yet."""
        async with self._connected() as connection:
            return await connection.run_sync(_current)

    async def upgrade(self, revision: str = "head") -> bool:
        """Upgrades the database to a revision. Returns whether anything was changed. A database that is already at the
        revision, or newer than this version of Herald, is not changed. Several nodes may call this concurrently: one
        does the work, the others wait for it. Raises MigrationRefused."""
        self._refuse_transaction_pooler()
        async with self._connected() as connection, self._locked(connection):
            before = await connection.run_sync(_current)
            if self._is_newer(before) or (revision == "head" and before == self.head()):
                return False
            await connection.run_sync(self._run, "upgrade", revision)
            return await connection.run_sync(_current) != before

    async def downgrade(self, revision: str) -> None:
        """Undoes revisions, newest first. `revision` is the one that the database is at afterwards (`base`: no tables),
        or the number of revisions to undo (-1, -2 …). The data in the removed tables and columns is lost. Raises
        MigrationRefused."""
        self._refuse_transaction_pooler()
        async with self._connected() as connection, self._locked(connection):
            await connection.run_sync(self._run, "downgrade", revision)

    async def verify(self) -> None:
        """Does nothing if this version of Herald can run on the schema. Raises SchemaOutdated otherwise. A newer schema
        is accepted: it occurs while the nodes of a deployment are replaced one by one."""
        current = await self.current()
        if not self._is_newer(current) and current != self.head():
            have = f"at revision {current}" if current else "empty"
            raise SchemaOutdated(
                f"the database is {have}, and this version needs revision {self.head()}:"
                " run `herald db upgrade`, or start with `herald serve --migrate`"
            )

    async def check(self) -> list[str]:
        """Returns the differences between the database and the tables that the code declares, one text each."""
        from adapters.sql.alembic_runs import differences

        async with self._connected() as connection:
            return await connection.run_sync(differences)

    def _refuse_transaction_pooler(self) -> None:
        if self._database.pooler == "transaction":
            raise MigrationRefused(
                "migrations can't run through a pooler in transaction mode, where a lock is lost with its transaction:"
                " run `herald db upgrade` with the DATABASE_URL of PostgreSQL itself, and HERALD_DATABASE_POOLER=none"
            )

    def _is_newer(self, revision: str | None) -> bool:
        """Returns whether this version of Herald does not know the revision, which is a newer one then."""
        return revision is not None and revision not in self._known

    def _run(self, connection: Connection, command: Literal["upgrade", "downgrade"], revision: str) -> None:
        from adapters.sql.alembic_runs import CommandError, run

        try:
            run(connection, self._folders, command, revision)
        except CommandError as error:
            raise MigrationRefused(str(error)) from None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """Yields a connection without an open transaction."""
        engine = self._database.engine
        if self._database.is_postgresql:
            # A separate engine: building an index takes long, and the usual timeouts would end it. Only the lock
            # timeout stays, because a statement that waits for a lock blocks all later ones.
            pooler, timeouts = self._database.pooler, self._database.timeouts
            limits, more = timeouts.lock_limit(), self._database.tls
            arguments = {"timeout": timeouts.connect, **more, **connect_arguments(pooler, "herald db", limits)}
            engine = create_async_engine(engine.url, poolclass=NullPool, connect_args=arguments)
            apply_limits(engine.sync_engine, pooler, limits)
        try:
            with translated():
                async with engine.connect() as connection:
                    yield connection
        except StoreUnavailable as error:
            if _is_hopeless(error.__cause__) or is_untrusted(error.__cause__):
                raise DatabaseUnusable(str(error)) from error
            raise
        except DBAPIError as error:
            if _is_hopeless(error):
                raise DatabaseUnusable(str(error.orig)) from error
            raise
        finally:
            if engine is not self._database.engine:
                await engine.dispose()

    @asynccontextmanager
    async def _locked(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Holds Herald's advisory lock on PostgreSQL, so that only one node changes the schema. Does nothing on
        SQLite."""
        if not self._database.is_postgresql:
            yield
            return
        # Polls for the lock. A statement that waits for it would hold a snapshot, and CREATE INDEX CONCURRENTLY of the
        # node with the lock would wait for that snapshot forever.
        while True:
            if await _scalar(connection, "SELECT pg_try_advisory_lock(:key)"):
                break
            await asyncio.sleep(LOCK_RETRY_S)
        try:
            yield
        finally:
            # If unlocking fails, the connection is lost, and PostgreSQL releases the lock.
            await connection.rollback()
            await _scalar(connection, "SELECT pg_advisory_unlock(:key)")


async def _scalar(connection: AsyncConnection, statement: str) -> object:
    answer: object = await connection.scalar(text(statement), {"key": LOCK_KEY})
    await connection.commit()
    return answer


def known_revisions(folders: Sequence[Path] = (VERSIONS,)) -> tuple[str, ...]:
    """Returns the revisions in the folders, oldest first. The name of each file begins with its revision."""
    return tuple(name for folder in folders for name in sorted(_revision(file) for file in folder.glob("*.py")))


def _revision(file: Path) -> str:
    return file.stem.partition("_")[0]


def _current(connection: Connection) -> str | None:
    revision: str | None = None
    if connection.dialect.has_table(connection, "alembic_version"):
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    # Alembic begins its own transaction, but only if none is open.
    connection.rollback()
    return revision


def _is_hopeless(fault: BaseException | None) -> bool:
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    state = getattr(cause, "sqlstate", None) or ""
    return state.startswith(_HOPELESS_STATES) or any(words in str(cause) for words in _HOPELESS_WORDS)
