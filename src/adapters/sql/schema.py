"""Upgrades, downgrades and checks the database schema.

Every change of the tables is a migration (see `migrations`), identified by its revision. Alembic is imported only when
it is needed, because this is slow, and a node whose schema is up to date does not need it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import adapters.sql.stream_move_triggers
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
    """The schema of the database is older than this version of Herald needs. The message has the command that upgrades
    it."""


class MigrationRefused(Exception):
    """A migration can't be run: the revision does not exist, the database can't get there from its current revision, or
    the connection pooler is in transaction mode."""


class DatabaseUnusable(Exception):
    """The database rejects the connection, for example because of a wrong password. Retrying does not help."""


class Schema:
    """Reads, checks and changes the schema of one database: its tables, indexes and triggers.

    Methods that connect raise StoreUnavailable if the database can't be reached, and DatabaseUnusable if it rejects the
    connection.
    """

    def __init__(self, database: Database, folders: Sequence[Path] = (VERSIONS,)) -> None:
        """`folders` contain the migrations of this version of Herald, the oldest ones in the first folder."""
        self._database = database
        self._folders = folders
        self._known = known_revisions(folders)

    def head(self) -> str:
        """Returns the revision that this version of Herald needs: the latest one in the folders."""
        return self._known[-1]

    async def current(self) -> str | None:
        """Returns the revision of the database; None if it has no tables yet."""
        async with self._connected() as connection:
            return await connection.run_sync(_current)

    async def upgrade(self, revision: str = "head") -> bool:
        """Upgrades the database to a revision (`head`: the latest one), and returns whether anything was changed.
        Changes nothing if the database is at this revision already, or is newer than this version of Herald. If several
        nodes call this concurrently, one of them upgrades, and the others wait. Raises MigrationRefused."""
        self._refuse_transaction_pooler()
        async with self._connected() as connection, self._locked(connection):
            before = await connection.run_sync(_current)
            if self._is_newer(before) or (revision == "head" and before == self.head()):
                return False
            await connection.run_sync(self._run, "upgrade", revision)
            return await connection.run_sync(_current) != before

    async def downgrade(self, revision: str) -> None:
        """Downgrades the database to `revision`: a revision, `base` (no tables), or a number of migrations to undo (-1,
        -2 …). The data in the removed tables and columns is lost. Raises MigrationRefused."""
        self._refuse_transaction_pooler()
        async with self._connected() as connection, self._locked(connection):
            await connection.run_sync(self._run, "downgrade", revision)

    async def verify(self) -> None:
        """Checks that this version of Herald can run on the schema. Raises SchemaOutdated if the schema is older. A
        newer schema is accepted, because it is normal while the nodes of a deployment are replaced one by one."""
        current = await self.current()
        if not self._is_newer(current) and current != self.head():
            have = f"at revision {current}" if current else "empty (it has no tables of Herald)"
            raise SchemaOutdated(
                f"the database is {have}, and this version needs revision {self.head()}:"
                " run `herald db upgrade`, or start with `herald serve --migrate`"
            )

    async def check(self) -> list[str]:
        """Returns the differences between the database and the tables declared in `tables`, as texts. Empty if there
        are none."""
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
        """Returns whether the revision is from a later version of Herald: it is not in the folders."""
        return revision is not None and revision not in self._known

    def _run(self, connection: Connection, command: Literal["upgrade", "downgrade"], revision: str) -> None:
        from adapters.sql.alembic_runs import CommandError, run

        try:
            run(connection, self._folders, command, revision)
        except CommandError as error:
            raise MigrationRefused(str(error)) from None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """Yields a connection for migrations, without an open transaction. Only the wait for locks is limited on
        PostgreSQL, not the run time of statements."""
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
        """Holds Herald's advisory lock on PostgreSQL during the `with` block, so that only one node at a time changes
        the schema. Does nothing on SQLite."""
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
    """Returns the revisions of the migrations in the folders, oldest first. The file of a migration is named
    `<revision>_….py`."""
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
