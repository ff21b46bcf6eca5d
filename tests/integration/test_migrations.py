"""The schema: every revision on both databases, agreement of tables and revisions, and the errors about it."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from adapters.clock import Uuid7Factory
from adapters.sql.alembic_runs import settings
from adapters.sql.database import TIMEOUTS, Database, Timeouts
from adapters.sql.new_epoch import new_epoch
from adapters.sql.schema import (
    LOCK_KEY,
    VERSIONS,
    DatabaseUnusable,
    MigrationRefused,
    Schema,
    SchemaOutdated,
    known_revisions,
)
from adapters.sql.store import SqlStore
from adapters.sql.tables import Base
from application.ports.store import StoreUnavailable
from domain.planning import plan
from tests.support.core import NOW, message, table
from tests.support.postgres import Postgres
from tests.support.service import free_port

HEADER = 'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "next"\ndown_revision = "{head}"\n'

# As versions/README.md requires them.
ADDS_A_COLUMN = 'op.add_column("notifications", sa.Column("colour", sa.Text()))'
ADDS_AN_INDEX = """with op.get_context().autocommit_block():
        op.create_index("ix_next", "notifications", ["source"], postgresql_concurrently=True, if_not_exists=True)"""
FAILS = 'op.create_table("half", sa.Column("id", sa.Text()))\n    op.execute("SELECT no_such_thing")'


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/herald.db"
    found: str = request.getfixturevalue("empty_postgres_url")
    return found


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Database]]:
    opened: list[Database] = []

    def open(url: str, timeouts: Timeouts = TIMEOUTS) -> Database:
        opened.append(Database(url, 2, timeouts=timeouts))
        return opened[-1]

    yield open
    for database in opened:
        await database.close()


@pytest.fixture
def database(url: str, connect: Callable[[str], Database]) -> Database:
    return connect(url)


@pytest.fixture
def schema(database: Database) -> Schema:
    return Schema(database)


class Next(Schema):
    """The schema as known to the next version: one more revision."""

    def __init__(self, database: Database, folder: Path, upgrade: str) -> None:
        revisions = folder / "revisions"
        revisions.mkdir(exist_ok=True)
        header = HEADER.format(head=known_revisions()[-1])
        (revisions / "next.py").write_text(
            f"{header}\n\ndef upgrade():\n    {upgrade}\n\n\ndef downgrade():\n    pass\n"
        )
        super().__init__(database, (VERSIONS, revisions))


def dump(url: str, request: pytest.FixtureRequest) -> str:
    """Return the definitions of all objects of the database, except the revision table of Alembic."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///")) as file:
            rows = file.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name")
            # SQLite keeps the text of each statement; a column added later is on a line of its own.
            return "\n".join(" ".join(sql.split()) for (sql,) in rows if sql)
    server: Postgres = request.getfixturevalue("postgres")
    # Without psql's meta-commands, which contain a random word.
    return re.sub(r"^\\.*$", "", server.dump_schema(url), flags=re.MULTILINE)


async def test_every_revision_upgrades_downgrades_and_upgrades_again(
    schema: Schema, url: str, request: pytest.FixtureRequest
) -> None:
    revisions = known_revisions()
    for before, revision in zip([None, *revisions], revisions, strict=False):
        assert await schema.current() == before
        old = dump(url, request) if before else ""
        await schema.upgrade(revision)
        new = dump(url, request)
        assert new != old
        await schema.downgrade("-1")
        assert await schema.current() == before
        if before:
            assert dump(url, request) == old
        await schema.upgrade(revision)
        assert dump(url, request) == new
    await schema.downgrade("base")
    assert await schema.current() is None
    assert "CREATE TABLE" not in dump(url, request)


async def test_revisions_create_the_tables_of_the_models(
    schema: Schema, url: str, request: pytest.FixtureRequest, connect: Any, tmp_path: Path
) -> None:
    await schema.upgrade()
    assert await schema.check() == []
    # Alembic does not compare the conditions of indexes and the order of columns.
    if url.startswith("sqlite"):
        other = f"sqlite+aiosqlite:///{tmp_path}/other.db"
    else:
        other = request.getfixturevalue("postgres").create(empty=True)
    async with connect(other).engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    migrated = dump(url, request).replace("\nWITH (fillfactor='50')", "")
    assert migrated == dump(other, request)


def test_the_guide_uses_no_existing_revision_id() -> None:
    (named,) = re.findall(r"--rev-id (\S+)", (VERSIONS / "README.md").read_text())
    assert named not in known_revisions()


def test_the_files_of_revisions_are_named_by_them_in_order() -> None:
    scripts = ScriptDirectory.from_config(settings((VERSIONS,)))
    assert known_revisions() == tuple(one.revision for one in scripts.walk_revisions())[::-1]
    assert scripts.get_heads() == [Schema(Database("sqlite+aiosqlite:///never-opened.db")).head()]


async def test_schema_drift_is_reported(schema: Schema, database: Database) -> None:
    await schema.upgrade()
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE dead_letters DROP COLUMN detail"))
        await connection.execute(text("DROP INDEX ix_notifications_unread"))
        await connection.execute(text("CREATE TABLE stray (id INTEGER)"))
    assert sorted(await schema.check()) == [
        "add column dead_letters detail",
        "add index ix_notifications_unread",
        "remove table stray",
    ]


async def test_an_older_schema_is_refused_and_the_error_names_the_command(schema: Schema) -> None:
    with pytest.raises(SchemaOutdated, match=r"is empty .*`herald db upgrade`, .* `herald serve --migrate`"):
        await schema.verify()
    await schema.upgrade()
    await schema.verify()


async def test_a_newer_schema_is_accepted_and_not_changed(schema: Schema, database: Database, tmp_path: Path) -> None:
    """During a rolling deployment the old code runs on the new schema."""
    assert await Next(database, tmp_path, ADDS_A_COLUMN).upgrade()
    assert await schema.current() == "next"
    await schema.verify()
    assert not await schema.upgrade()
    assert await schema.current() == "next"
    recorded = await SqlStore(database, Uuid7Factory()).record([plan(message("direct", {"to": "u"}), table())], NOW)
    assert len(recorded.entries) == 1
    with pytest.raises(MigrationRefused, match="next"):
        await schema.downgrade("base")


async def test_an_outdated_schema_is_refused_and_the_error_names_its_revision(
    schema: Schema, database: Database, tmp_path: Path
) -> None:
    await schema.upgrade()
    with pytest.raises(SchemaOutdated, match=f"is at revision {schema.head()}, and this version needs revision next"):
        await Next(database, tmp_path, ADDS_A_COLUMN).verify()


async def test_an_index_can_be_created_concurrently(schema: Schema, database: Database, tmp_path: Path) -> None:
    """Outside of any transaction, as PostgreSQL requires, on both databases."""
    newer = Next(database, tmp_path, ADDS_AN_INDEX)
    await newer.upgrade()
    assert await newer.current() == "next"
    assert await newer.check() == ["remove index ix_next"]


async def test_an_unknown_revision_is_refused(schema: Schema) -> None:
    with pytest.raises(MigrationRefused, match="nowhere"):
        await schema.upgrade("nowhere")
    with pytest.raises(MigrationRefused):
        await schema.downgrade("-1")


async def test_a_failed_revision_is_rolled_back(
    schema: Schema, database: Database, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await schema.upgrade()
    before = dump(url, request)
    with pytest.raises(Exception, match="no_such_thing"):
        await Next(database, tmp_path, FAILS).upgrade()
    assert dump(url, request) == before
    assert await schema.current() == schema.head()
    await Next(database, tmp_path, ADDS_A_COLUMN).upgrade()
    assert await schema.current() == "next"


async def test_new_epoch_changes_the_epoch(schema: Schema, database: Database) -> None:
    await schema.upgrade()
    first = await SqlStore(database, Uuid7Factory()).epoch()
    second = await new_epoch(database)
    assert first != second == await SqlStore(database, Uuid7Factory()).epoch()


class TestConcurrentUpgrades:
    @pytest.fixture
    def url(self, empty_postgres_url: str) -> str:
        return empty_postgres_url

    async def test_one_node_upgrades_while_the_others_wait(self, url: str, connect: Any, postgres: Postgres) -> None:
        await asyncio.gather(*(Schema(connect(url)).upgrade() for _ in range(8)))
        assert postgres.psql("SELECT count(*) FROM alembic_version", url) == "1\n"
        assert postgres.psql("SELECT count(*) FROM store_state", url) == "1\n"

    async def test_waiting_nodes_do_not_block_a_concurrent_index(
        self, schema: Schema, url: str, connect: Any, postgres: Postgres, tmp_path: Path
    ) -> None:
        """CREATE INDEX CONCURRENTLY waits for every statement that began before it."""
        await schema.upgrade()
        async with asyncio.timeout(20):
            await asyncio.gather(*(Next(connect(url), tmp_path, ADDS_AN_INDEX).upgrade() for _ in range(4)))
        assert postgres.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_next'::regclass", url) == "t\n"

    async def test_the_migration_lock_is_waited_for_and_released(self, schema: Schema, url: str, connect: Any) -> None:
        async with connect(url).engine.connect() as other:
            await other.execute(text(f"SELECT pg_advisory_lock({LOCK_KEY})"))
            await other.commit()
            upgrade = asyncio.create_task(schema.upgrade())
            await asyncio.sleep(0.5)
            assert not upgrade.done()
            await other.execute(text(f"SELECT pg_advisory_unlock({LOCK_KEY})"))
            # CREATE INDEX CONCURRENTLY waits for open transactions, including idle ones.
            await other.commit()
            await asyncio.wait_for(upgrade, 5)
            assert await other.scalar(text(f"SELECT pg_try_advisory_lock({LOCK_KEY})"))

    async def test_a_cancelled_upgrade_leaves_no_lock(self, schema: Schema, url: str, connect: Any) -> None:
        upgrade = asyncio.create_task(Schema(connect(url)).upgrade())
        await asyncio.sleep(0.05)
        upgrade.cancel()
        await asyncio.gather(upgrade, return_exceptions=True)
        await asyncio.wait_for(schema.upgrade(), 10)
        assert await schema.current() == schema.head()


class TestErrors:
    """Errors that retrying cannot fix are distinguished from temporary ones."""

    async def test_postgresql_refused_connections_and_unavailability_are_distinguished(
        self, postgres: Postgres, connect: Any
    ) -> None:
        with pytest.raises(DatabaseUnusable, match='database "nowhere" does not exist'):
            await Schema(connect(postgres.url("nowhere"))).current()
        stranger = postgres.url("postgres").replace("postgres@", "stranger@")
        with pytest.raises(DatabaseUnusable, match='role "stranger" does not exist'):
            await Schema(connect(stranger)).current()
        with pytest.raises(StoreUnavailable):
            await Schema(connect(f"postgresql+asyncpg://postgres@127.0.0.1:{free_port()}/x")).current()

    async def test_a_user_without_permission_to_create_tables(
        self, postgres: Postgres, empty_postgres_url: str, connect: Any
    ) -> None:
        postgres.psql("CREATE ROLE guest LOGIN")
        with pytest.raises(DatabaseUnusable, match="permission denied for schema public"):
            await Schema(connect(empty_postgres_url.replace("postgres@", "guest@"))).upgrade()

    async def test_sqlite_permanent_errors_are_refusals(self, tmp_path: Path, connect: Any) -> None:
        (tmp_path / "letter.txt").write_text("Dear database, " * 100)
        for file in ("letter.txt", "", "no/such/folder/herald.db"):
            with pytest.raises(DatabaseUnusable):
                await Schema(connect(f"sqlite+aiosqlite:///{tmp_path}/{file}")).current()

    async def test_a_locked_file_is_temporary(self, tmp_path: Path, connect: Any) -> None:
        schema = Schema(connect(f"sqlite+aiosqlite:///{tmp_path}/herald.db", Timeouts(lock=0.1)))
        await schema.upgrade()
        with written_by_another(tmp_path / "herald.db"), pytest.raises(StoreUnavailable):
            await schema.downgrade("base")


@contextmanager
def written_by_another(file: Path) -> Iterator[None]:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.close()
