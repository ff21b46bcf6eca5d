"""Prepares the database before the server starts: waits until it is available, then upgrades or verifies its schema."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from adapters.sql.database import Database
from adapters.sql.schema import DatabaseUnusable, MigrationRefused, Schema, SchemaOutdated
from adapters.sql.settings import MEMORY, SQLITE
from application.ports.store import StoreUnavailable
from domain.backoff import Backoff
from entrypoints.settings.loader import Settings

log = structlog.get_logger(__name__)


class PreparePolicy(msgspec.Struct, frozen=True):
    """How long Herald waits for the database when it starts, because a database that is started together with Herald is
    often available only after it. After `timeout_s` seconds the start is refused. `retry` is the backoff between
    attempts to connect."""

    timeout_s: float = 60.0
    retry: Backoff = Backoff(initial_s=0.5, max_s=5.0)


PREPARE_POLICY: Final = PreparePolicy()


class StartRefused(Exception):
    """Herald can't start. The text of the exception is the reason, in one line. `code` is the exit code of the process:
    2 if the configuration must be changed first, 1 if starting again later may succeed."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


async def prepare(settings: Settings, *, migrate: bool, policy: PreparePolicy = PREPARE_POLICY) -> None:
    """Waits until the database is available, and makes sure that its schema is up to date. Raises StartRefused if the
    database stays unavailable or the schema can't be used. A no-op if the store is in memory.

    An outdated schema is upgraded if `migrate` is set, if the database is an SQLite file, or with `herald dev` (unless
    HERALD_DATABASE_POOLER is `transaction`). Otherwise it is refused.
    """
    if settings.database.url == MEMORY:
        return
    async with open_database(settings) as (database, schema):
        automatic = settings.mode == "dev" and database.pooler != "transaction"
        upgrades = migrate or automatic or not database.is_postgresql
        await _with_retries(partial(_upgrade_or_verify, schema, upgrades), policy)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[tuple[Database, Schema]]:
    """Opens the configured database with a single connection, for the `with` block. Yields the database and its schema.
    Creates the folder of an SQLite file if necessary; raises StartRefused if that fails."""
    if settings.database.url.startswith(SQLITE):
        folder = Path(settings.database.url.removeprefix(SQLITE)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(f"the folder {folder} can't be created: {error.strerror}", 2) from None
    database = Database(settings.database.url, 1, pooler=settings.database.pooler)
    try:
        yield database, Schema(database)
    finally:
        await database.close()


async def _upgrade_or_verify(schema: Schema, upgrades: bool) -> None:
    if not upgrades:
        await schema.verify()
    elif await schema.upgrade():
        log.info("schema_upgraded", revision=schema.head())
    current = await schema.current()
    if current != schema.head():
        log.warning("schema_newer", revision=current, known_revision=schema.head())


async def _with_retries(act: Callable[[], Awaitable[None]], policy: PreparePolicy) -> None:
    deadline = time.monotonic() + policy.timeout_s
    failures = 0
    while True:
        try:
            return await act()
        except (SchemaOutdated, DatabaseUnusable, MigrationRefused) as error:
            raise StartRefused(str(error), 2) from None
        except StoreUnavailable as error:
            if time.monotonic() >= deadline:
                raise StartRefused(
                    f"the database is still unavailable after {policy.timeout_s:g} s: {error}", 1
                ) from None
            failures += 1
            delay = policy.retry.delay_s(failures, random.random())
            log.warning("database_unavailable", error=str(error), retry_s=delay)
        await asyncio.sleep(delay)
