"""The SQL store under faults: crashes between any two statements, lost connections, and nodes that freeze during a
transaction."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from adapters.clock import Uuid7Factory
from adapters.sql.database import Database, Timeouts
from adapters.sql.store import SqlStore
from application.ports.deliveries import DeliveryFilter
from application.ports.store import StoreUnavailable
from domain.notifications import NotificationFilter
from tests.support.core import NOW
from tests.support.postgres import Postgres
from tests.support.stores import (
    STORES,
    Sent,
    Stores,
    check_counters,
    direct,
    later,
    order,
    record,
    sql,
    sqlite_url,
    whole,
)


@contextmanager
def cut_before(database: Database, statement: int) -> Iterator[list[str]]:
    """Cut the connection before the nth statement of a writer, counting commits. Yields the list of executed
    statements."""
    run: list[str] = []

    def reached(connection: Any, what: str) -> None:
        run.append(what)
        if len(run) == statement:
            connection.connection.driver_connection.terminate()

    def before_statement(connection: Any, _: Any, what: str, *__: Any) -> None:
        reached(connection, what)

    def before_commit(connection: Any) -> None:
        reached(connection, "COMMIT")

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", before_commit)
    try:
        yield run
    finally:
        event.remove(engine, "before_cursor_execute", before_statement)
        event.remove(engine, "commit", before_commit)


def batch(turn: int) -> list[Sent]:
    """Return events of every kind, for two new users."""
    ada, bob = f"ada-{turn}", f"bob-{turn}"
    return [
        direct(f"a{turn}", ada, bob),
        ("both.x", {"to": ada}, f"b{turn}"),
        ("nowhere", {}, f"c{turn}"),
        ("bye", {"user_id": bob, "timestamp": NOW.isoformat()}, f"d{turn}"),
        order(f"o{turn}", "kim@example.com", user=ada),
    ]


async def test_a_crash_between_any_two_statements_leaves_all_or_nothing(database: Database, store: SqlStore) -> None:
    await record(store, *batch(-1))
    with cut_before(database, 0) as run:
        await record(store, *batch(0))
    assert run.count("COMMIT") == 2  # one of them for the counters of the new inboxes
    async with sql(database.engine.url.render_as_string(hide_password=False)) as stores:
        for turn in range(1, len(run) + 1):
            streams = [f"inbox:ada-{turn}", f"inbox:bob-{turn}", "feed:news"]
            before = await store.heads(streams)
            with cut_before(database, turn), pytest.raises(StoreUnavailable):
                await record(store, *batch(turn))
            assert await store.heads(streams) == before
            recorded = await record(store, *batch(turn))
            assert (len(recorded.entries), len(recorded.dead_letters), len(recorded.sign_outs)) == (5, 1, 1)
            assert len(recorded.deliveries) == 1
            assert recorded.duplicates == 0
            assert await whole(store, streams[0]) == [(1, f"a{turn}"), (2, f"b{turn}")]
            assert await whole(store, streams[1]) == [(1, f"a{turn}")]
            await check_counters(stores, f"ada-{turn}")
            await check_counters(stores, f"bob-{turn}")
        assert await stores.deliveries.count(DeliveryFilter()) == len(run) + 2
    assert [seq for seq, _ in await whole(store, "feed:news")] == list(range(1, len(run) + 3))


# Batches of each writer in the next test.
ROUNDS = 5


async def test_concurrent_work_with_connections_cut_at_random(postgres_url: str) -> None:
    """Writers, markers and readers on two nodes, whose connections are cut repeatedly. At the end nothing is missing or
    duplicated, and every stored counter equals the counted rows."""
    chance = random.Random(7)
    users = [f"u{number}" for number in range(4)]
    async with sql(postgres_url, 6) as one, sql(postgres_url, 6) as other:
        working, cuts = True, 0

        async def insist(act: Callable[[], Any]) -> Any:
            while True:
                try:
                    return await act()
                except StoreUnavailable:
                    await asyncio.sleep(0.01)

        async def write(stores: Stores, writer: int) -> None:
            for number in range(ROUNDS):
                events = [direct(f"{writer}-{number}-{part}", *chance.sample(users, 2)) for part in range(3)]
                events.append(("both.x", {"to": users}, f"shared-{number}"))
                await insist(lambda events=events: record(stores.store, *events))

        async def mark(stores: Stores) -> None:
            while working:
                user = chance.choice(users)
                page = await insist(lambda user=user: stores.inboxes.page(user, NotificationFilter(archived=None), 20))
                for one in chance.sample(page.notifications, min(3, len(page.notifications))):
                    how: Any = chance.choice(["read", "unread", "archived"])
                    await insist(lambda one=one, how=how: stores.inboxes.change(one.user, one.id, how, later(1)))
                await insist(lambda user=user: stores.inboxes.change_all(user, "read", 20, 5, later(2)))
                await asyncio.sleep(0.01)

        async def cut() -> None:
            nonlocal cuts
            admin = Database(postgres_url, 1)
            while working:
                await asyncio.sleep(0.05)
                kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                async with admin.engine.connect() as connection:
                    ended = await connection.execute(
                        text(f"{kill} AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1")
                    )
                    cuts += len(ended.all())
            await admin.close()

        others = [asyncio.create_task(task) for task in (mark(one), mark(other), cut())]
        await asyncio.gather(*(write(stores, n) for n, stores in enumerate([one, other, one, other])))
        working = False
        await asyncio.gather(*others)
        assert cuts >= 5
        heads = await one.store.heads([f"inbox:{user}" for user in users])
        for user in users:
            await check_counters(one, user)
            ids = [id for _, id in await whole(one.store, f"inbox:{user}")]
            assert len(set(ids)) == len(ids)
            assert {f"shared-{number}" for number in range(ROUNDS)} <= set(ids)
            page = await one.store.changes(f"inbox:{user}", 0, 1_000_000)
            assert page.upto == heads[f"inbox:{user}"].last
            assert len(page.entries) == len(ids)
        news = await whole(one.store, "feed:news")
        assert [seq for seq, _ in news] == list(range(1, ROUNDS + 1))


async def test_a_node_frozen_during_a_transaction_blocks_no_other(postgres_url: str) -> None:
    database = Database(postgres_url, 5, timeouts=Timeouts(idle_in_transaction=0.5))
    store = SqlStore(database, Uuid7Factory())
    await record(store, direct("a", "ada"))
    frozen = await database.engine.connect()
    await frozen.execute(text("SELECT * FROM inboxes WHERE user_id = 'ada' FOR UPDATE"))
    began = time.monotonic()
    recorded = await record(store, direct("b", "ada"))
    assert [entry.seq for entry in recorded.entries] == [2]
    assert time.monotonic() - began < 0.5 + 3
    # After the thaw, the transaction of the frozen node has been ended.
    with pytest.raises(Exception, match=r"idle-in-transaction|closed"):
        await frozen.execute(text("UPDATE inboxes SET last_seq = 99"))
    await frozen.close()
    assert (await store.heads(["inbox:ada"]))["inbox:ada"].last == 2
    await database.close()


async def test_the_store_recovers_when_the_server_is_back(postgres: Postgres, postgres_url: str) -> None:
    async with sql(postgres_url, 3) as stores:
        await record(stores.store, direct("a", "ada"))
        postgres.kill9()
        try:
            for call in (
                stores.store.ping,
                lambda: record(stores.store, direct("b", "ada")),
                lambda: stores.store.heads(["inbox:ada"]),
                lambda: stores.store.changes("inbox:ada", 0, 10),
                lambda: stores.inboxes.page("ada", NotificationFilter(), 10),
                lambda: stores.preferences.get("ada"),
                lambda: stores.dead_letters.newest(10),
            ):
                with pytest.raises(StoreUnavailable):
                    await call()
        finally:
            postgres.start()
        await stores.store.ping()
        await record(stores.store, direct("b", "ada"))
        assert await whole(stores.store, "inbox:ada") == [(1, "a"), (2, "b")]


async def test_a_database_frozen_beyond_all_timeouts_loses_and_duplicates_nothing(
    postgres: Postgres, postgres_url: str
) -> None:
    """The client gives up 1 s after the timeout of the statement, which a frozen server cannot enforce."""
    async with sql(postgres_url, timeouts=Timeouts(statement=1)) as stores:
        await record(stores.store, direct("a", "ada"))
        with postgres.frozen():
            async with asyncio.timeout(10):
                with pytest.raises(StoreUnavailable):
                    await record(stores.store, direct("b", "ada"))
        await record(stores.store, direct("b", "ada"))
        await record(stores.store, direct("c", "ada"))
        assert await whole(stores.store, "inbox:ada") == [(1, "a"), (2, "b"), (3, "c")]


async def test_an_exhausted_connection_pool_is_reported_as_unavailable(postgres_url: str) -> None:
    database = Database(postgres_url, 1, timeouts=Timeouts(pool=0.2))
    store = SqlStore(database, Uuid7Factory())
    async with database.engine.connect():
        with pytest.raises(StoreUnavailable):
            await record(store, direct("a", "ada"))
    await record(store, direct("a", "ada"))
    await database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_cancelled_calls_leak_no_connection(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """A client that disconnects cancels its request at any await."""
    chance = random.Random(3)
    async with STORES[kind]((tmp_path, lambda: request.getfixturevalue("postgres"))) as stores:
        engine = stores.store._database.engine  # type: ignore[attr-defined]  # the database's store has it
        made: list[Any] = []
        event.listen(engine.sync_engine, "connect", lambda connection, _: made.append(connection))
        for turn in range(40):
            tasks = [asyncio.create_task(stores.store.heads(["inbox:ada"])) for _ in range(4)]
            tasks.append(asyncio.create_task(record(stores.store, direct(f"e{turn}", "ada"))))
            await asyncio.sleep(chance.uniform(0, 0.006))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for turn in range(40):
            await record(stores.store, direct(f"e{turn}", "ada"))
        assert sorted(id for _, id in await whole(stores.store, "inbox:ada")) == sorted(f"e{n}" for n in range(40))
        assert len(made) <= engine.pool.size()
        assert engine.pool.checkedout() == 0


async def test_a_full_disk_is_reported_as_unavailable(tmp_path: Path) -> None:
    database = Database(await sqlite_url(tmp_path), 1)
    store = SqlStore(database, Uuid7Factory())
    await record(store, direct("a", "ada"))

    def limit(pages: int) -> Callable[[Any], Any]:
        return lambda connection: connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    await database.read(limit(10))
    with pytest.raises(StoreUnavailable, match="full"):
        await record(store, *(direct(f"b{number}", "ada") for number in range(500)))
    assert await whole(store, "inbox:ada") == [(1, "a")]
    await database.read(limit(1_000_000))
    await record(store, *(direct(f"b{number}", "ada") for number in range(500)))
    assert len(await whole(store, "inbox:ada")) == 501
    await database.close()
