"""Preparation of the database before the start: waits until it is available, and upgrades or verifies its schema."""

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
    """`timeout_s` is the time that a database may take to become available: one that starts together with Herald is
    often slower. `retry` is the backoff between attempts to reach it.
    """

    timeout_s: float = 60.0
    retry: Backoff = Backoff(initial_s=0.5, max_s=5.0)


PREPARE_POLICY: Final = PreparePolicy()


class StartRefused(Exception):
    """Herald can't start. The text says why in one line. `code` is the exit code: 2 if the configuration has to be
    changed, 1 if a later start may succeed.
    """

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


async def prepare(settings: Settings, *, migrate: bool, policy: PreparePolicy = PREPARE_POLICY) -> None:
    """Return once the database can be used. Raises StartRefused.

    The schema is upgraded for `herald dev` and for database files, which have no operator to do it. On PostgreSQL
    `herald serve` upgrades it only with `migrate`.
    """
    if settings.database.url == MEMORY:
        return
    async with open_database(settings) as (database, schema):
        automatic = settings.mode == "dev" and database.pooler != "transaction"
        upgrades = migrate or automatic or not database.is_postgresql
        await _with_retries(partial(_upgrade_or_verify, schema, upgrades), policy)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[tuple[Database, Schema]]:
    """The database, with one connection, and its schema. Raises StartRefused if the folder of a file can't be
    created.
    """
    if settings.database.url.startswith(SQLITE):
        folder = Path(settings.database.url.removeprefix(SQLITE)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(f"the folder {folder} can't be made: {error.strerror}", 2) from None
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
                raise StartRefused(f"given up after {policy.timeout_s:g} s: {error}", 1) from None
            failures += 1
            delay = policy.retry.delay_s(failures, random.random())
            log.warning("database_unavailable", error=str(error), retry_s=delay)
        await asyncio.sleep(delay)
