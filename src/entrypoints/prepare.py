"""The database before the start: there, and at a revision that this version can run on."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from adapters.sql.database import Database
from adapters.sql.schema import DatabaseUnusable, MigrationRefused, Schema, SchemaOutdated
from adapters.sql.settings import MEMORY, SQLITE
from application.ports.store import StoreUnavailable
from domain.backoff import Backoff
from entrypoints.settings.loader import Settings

log = structlog.get_logger(__name__)

# Seconds that a database may take to come up: what starts beside us is often slower than we are.
PATIENCE: Final = 60.0

# Between two attempts to reach it.
RETRY: Final = Backoff(initial_s=0.5, max_s=5.0)


class StartRefused(Exception):
    """Herald can't start. The text says why in one line; `code` is what the process ends with: 2 where the
    configuration has to be changed, 1 where the same may work later."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


async def prepare(settings: Settings, *, migrate: bool) -> None:
    """Returns once the database can be used. Raises StartRefused.

    `herald dev`, and whoever keeps everything in a file, has no one to run migrations: there they are run here. On
    PostgreSQL it takes `migrate`.
    """
    if settings.database.url == MEMORY:
        return
    async with opened(settings) as (database, schema):
        automatic = settings.mode == "dev" and database.pooler != "transaction"
        upgrades = migrate or automatic or not database.is_postgresql
        await _patiently(partial(_see_to, schema, upgrades))


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Database, Schema]]:
    """The database and its schema, for one thing at a time. Raises StartRefused where a file can't be."""
    if settings.database.url.startswith(SQLITE):
        folder = Path(settings.database.url.removeprefix(SQLITE)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise StartRefused(f"the folder {folder} can't be made: {fault.strerror}", 2) from None
    database = Database(settings.database.url, 1, pooler=settings.database.pooler)
    try:
        yield database, Schema(database)
    finally:
        await database.close()


async def _see_to(schema: Schema, upgrades: bool) -> None:
    if not upgrades:
        await schema.verify()
    elif await schema.upgrade():
        log.info("schema_upgraded", revision=schema.head())
    current = await schema.current()
    if current != schema.head():
        log.warning("schema_newer", revision=current, known_revision=schema.head())


async def _patiently(act: Callable[[], Awaitable[None]]) -> None:
    deadline = time.monotonic() + PATIENCE
    failures = 0
    while True:
        try:
            return await act()
        except (SchemaOutdated, DatabaseUnusable, MigrationRefused) as fault:
            raise StartRefused(str(fault), 2) from None
        except StoreUnavailable as fault:
            if time.monotonic() >= deadline:
                raise StartRefused(f"given up after {PATIENCE:g} s: {fault}", 1) from None
            failures += 1
            delay = RETRY.delay_s(failures, random.random())
            log.warning("database_unavailable", error=str(fault), retry_s=delay)
        await asyncio.sleep(delay)
