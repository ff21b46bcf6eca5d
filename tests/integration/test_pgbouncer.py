"""PostgreSQL behind Debian's PgBouncer, in session and transaction mode."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from adapters.sql.database import TIMEOUTS, Database
from adapters.sql.schema import DatabaseUnusable, MigrationRefused, Schema
from adapters.sql.settings import Pooler
from application.ports.bindings import Binding, QueueName
from application.ports.dead_letters import ANY
from application.ports.retention import Keep, Keeping
from application.ports.store import StoreUnavailable
from domain.preferences import Preferences
from entrypoints.cli.main import main
from entrypoints.prepare_database import StartRefused, prepare
from entrypoints.settings.loader import load
from tests.pgbouncer_fixtures import StartPgBouncer
from tests.support.core import NOW
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Postgres
from tests.support.stores import Stores, check_counters, direct, fill, kept, later, record, sql

# More than Herald's connections (10), and than the connections of the pooler in transaction mode (3).
USERS = 12

MODES: tuple[Pooler, ...] = ("session", "transaction")

LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "jit")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def pgbouncer(mode: Pooler, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    return start_pgbouncer(mode)


@pytest.fixture
async def database(mode: Pooler, pgbouncer: PgBouncer, postgres_url: str) -> AsyncIterator[Database]:
    database = Database(pgbouncer.url(postgres_url), 10, pooler=mode)
    yield database
    await database.close()


async def limits_of(database: Database) -> list[dict[str, str]]:
    """Return the limits in force on a reading and on a writing connection."""

    async def ask(connection: Any) -> dict[str, str]:
        return {name: await connection.scalar(text(f"SHOW {name}")) for name in LIMITS}

    return [await database.read(ask), await database.write(ask)]


async def test_limits_are_in_force_and_do_not_leak_to_other_clients(
    mode: Pooler, database: Database, postgres: Postgres, postgres_url: str
) -> None:
    seconds = (TIMEOUTS.lock, TIMEOUTS.statement, TIMEOUTS.idle_in_transaction)
    wanted = dict(zip(LIMITS, (*(f"{one}s" for one in seconds), "off"), strict=True))
    assert await limits_of(database) == [wanted, wanted]
    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(limits_of(database))
    await database.close()
    # Another client that reuses the same server sessions sees the default values.
    other = Database(database.engine.url.render_as_string(hide_password=False), 3, pooler=mode)
    async with other.engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
    await other.close()
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{postgres_url.rsplit('/', 1)[1]}'"
    assert int(postgres.psql(sessions)) <= (20 if mode == "session" else 3)


async def test_lock_timeout_applies_behind_the_pooler(database: Database) -> None:
    async with database.engine.begin() as holder:
        await holder.execute(text("LOCK TABLE store_state"))
        async with database.engine.begin() as waiting:
            await waiting.execute(text("SELECT set_config('lock_timeout', '100ms', true)"))
            with pytest.raises(Exception, match="lock timeout"):
                await waiting.execute(text("LOCK TABLE store_state"))


async def test_concurrent_reads_and_writes_through_the_pooler(
    mode: Pooler, pgbouncer: PgBouncer, postgres_url: str
) -> None:
    async with sql(pgbouncer.url(postgres_url), pooler=mode) as stores:

        async def one(user: str) -> None:
            await fill(stores.store, 20, user)
            await record(stores.store, direct(f"more-{user}", user), ("nowhere", {}, f"lost-{user}"))
            await stores.preferences.put(user, Preferences(muted_types=("x",)), NOW)
            assert (await stores.preferences.get(user)).muted_types == ("x",)
            assert len(await kept(stores, user)) == 21
            assert (await stores.inboxes.change_all(user, "read", 10, 100, later(1))).head.unread == 11
            await stores.store.ping()

        async with asyncio.TaskGroup() as group:
            for number in range(USERS):
                group.create_task(one(f"user-{number}"))
        await rest_of_it(stores)


async def rest_of_it(stores: Stores) -> None:
    assert await stores.dead_letters.count(ANY) == USERS
    assert len(await stores.dead_letters.newest(10)) == 10
    assert await stores.deliveries.claim("email", 10, 30) == ()
    queue = QueueName("/", "q")
    renewing = [stores.bindings.renew(f"node-{n}", queue, [Binding("x", "key")], NOW) for n in range(10)]
    assert sorted(map(len, await asyncio.gather(*renewing))) == [0] * 9 + [1]
    keep = Keep(later(0) - NOW, 5)
    pruned = await stores.retention.prune(Keeping(keep, keep, keep, keep), later(100), limit=1000)
    assert pruned.dead_letters == USERS
    assert pruned.notifications == USERS * 21
    await check_counters(stores)


async def test_a_restart_of_the_pooler_is_a_temporary_outage(database: Database, pgbouncer: PgBouncer) -> None:
    await database.ping()
    pgbouncer.stop()
    with pytest.raises(StoreUnavailable):
        await database.ping()
    await asyncio.to_thread(pgbouncer.start)
    await database.ping()
    assert len(await limits_of(database)) == 2


class TestMigrations:
    async def test_migrations_run_through_a_pooler_in_session_mode(
        self, start_pgbouncer: StartPgBouncer, empty_postgres_url: str
    ) -> None:
        url = start_pgbouncer("session").url(empty_postgres_url)
        databases = [Database(url, 1, pooler="session") for _ in range(2)]
        await asyncio.gather(*(Schema(database).upgrade() for database in databases))
        for database in databases:
            assert await Schema(database).check() == []
            await database.close()

    async def test_migrations_are_refused_through_a_pooler_in_transaction_mode(
        self, start_pgbouncer: StartPgBouncer, postgres_url: str, empty_postgres_url: str
    ) -> None:
        pgbouncer = start_pgbouncer("transaction")
        database = Database(pgbouncer.url(empty_postgres_url), 1, pooler="transaction")
        schema = Schema(database)
        for act in (schema.upgrade(), schema.downgrade("base")):
            with pytest.raises(MigrationRefused, match=r"transaction.*lock.*DATABASE_URL"):
                await act
        assert await schema.current() is None
        await database.close()
        # An existing schema can be verified.
        database = Database(pgbouncer.url(postgres_url), 1, pooler="transaction")
        await Schema(database).verify()
        assert await Schema(database).check() == []
        await database.close()

    def test_the_command_reports_the_reason(self, start_pgbouncer: StartPgBouncer, empty_postgres_url: str) -> None:
        env = {
            "DATABASE_URL": start_pgbouncer("transaction").url(empty_postgres_url),
            "HERALD_DATABASE_POOLER": "transaction",
        }
        result = CliRunner().invoke(main, ["db", "upgrade"], env=env)
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert "migrations" in line
        assert "lock" in line

    async def test_a_start_with_migration_is_refused(self, start_pgbouncer: StartPgBouncer, postgres_url: str) -> None:
        url = start_pgbouncer("transaction").url(postgres_url)
        env = {"HERALD_AUTH": "open", "DATABASE_URL": url, "HERALD_DATABASE_POOLER": "transaction"}
        with pytest.raises(StartRefused, match="migrations"):
            await prepare(load(env, "serve", {}), migrate=True)
        await prepare(load(env, "serve", {}), migrate=False)
        await prepare(load(env, "dev", {}), migrate=False)


class TestPoolerNotDeclared:
    """Without HERALD_DATABASE_POOLER, errors caused by a pooler name the setting."""

    @pytest.mark.parametrize("mode", MODES)
    async def test_refused_start_up_parameters_are_explained(
        self, mode: str, start_pgbouncer: StartPgBouncer, postgres_url: str
    ) -> None:
        database = Database(start_pgbouncer(mode).url(postgres_url), 1)
        with pytest.raises(DatabaseUnusable, match=r"unsupported startup parameter.*HERALD_DATABASE_POOLER"):
            await Schema(database).verify()
        await database.close()

    async def test_unknown_prepared_statements_are_explained(
        self, start_pgbouncer: StartPgBouncer, postgres_url: str
    ) -> None:
        ignored = ",".join((*LIMITS, "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"))
        pgbouncer = start_pgbouncer("transaction", f"ignore_startup_parameters = {ignored}")
        database = Database(pgbouncer.url(postgres_url), 10)

        async def ask(number: int) -> None:
            await database.read(lambda connection: connection.execute(text(f"SELECT {number % 3}, pg_sleep(0.01)")))

        results = await asyncio.gather(*(ask(number) for number in range(100)), return_exceptions=True)
        await database.close()
        faults = [one for one in results if isinstance(one, BaseException)]
        assert faults
        assert all(isinstance(one, StoreUnavailable) for one in faults), faults
        assert any("HERALD_DATABASE_POOLER=transaction" in str(one) for one in faults), faults
