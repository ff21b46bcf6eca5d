"""The SQL store beyond the contract: values that PostgreSQL refuses, crashes between any two statements, nodes that
freeze during a transaction, and an index for every query."""

import asyncio
import random
import string
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from adapters.clock import SystemClock, Uuid7Factory
from adapters.sql.database import IDLE_IN_TRANSACTION, Database
from adapters.sql.deliveries import SqlDeliveries
from adapters.sql.dialects.postgresql import PostgresqlWriting
from adapters.sql.errors import TransactionConflict
from adapters.sql.inboxes import SqlInboxes
from adapters.sql.preferences import SqlPreferences
from adapters.sql.retention import SqlRetention
from adapters.sql.schema import Schema
from adapters.sql.store import SqlStore
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.dead_letters import DeadLetterFilter
from application.ports.deliveries import DeliveryFilter, Outcome
from application.ports.retention import Keep, Keeping
from application.ports.store import Recorded, StoreTimedOut, StoreUnavailable, Unstorable
from domain.deliveries import Attempt
from domain.notifications import NotificationFilter
from domain.planning import plan
from domain.preferences import Preferences
from tests.support.core import NOW, message
from tests.support.postgres import Postgres
from tests.support.stores import ROUTES, STORES, Sent, Stores, check_counters, direct, later, order, record, sql, whole


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, 5)
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> SqlStore:
    return SqlStore(database, Uuid7Factory())


# --- values that cannot be stored -------------------------------------------------------------------------------


def too_small(id: str) -> Sent:
    """Return an event with a number too small for jsonb. The domain does not check numbers."""
    return "direct", '{"to":["ada"],"n":1e-99999}', id


async def constrained(database: Database, rule: str) -> None:
    await database.write(lambda connection: connection.execute(text(f"ALTER TABLE notifications ADD CHECK ({rule})")))


async def store_all(store: SqlStore, *events: Sent) -> list[Recorded]:
    """Store events as ingest does."""
    store_plans = StorePlans(store, SystemClock(), StoragePolicy())
    parts = store_plans.parts([plan(message(*event), ROUTES) for event in events])
    return [recorded async for recorded in store_plans(parts)]


def letters_of(recorded: list[Recorded]) -> list[tuple[str, str]]:
    return [(letter.event_id, letter.reason) for one in recorded for letter in one.dead_letters]


@pytest.mark.parametrize("state", ["22", "23", "54"])
async def test_a_value_refused_by_the_database_affects_only_its_own_event(
    database: Database, store: SqlStore, state: str
) -> None:
    events = [direct(f"e{number}", "ada", "bob") for number in range(500)]
    events[137] = too_small("bad") if state == "22" else ("direct", {"to": ["ada"]}, "bad")
    if state == "23":
        await constrained(database, "event_id <> 'bad'")
    if state == "54":
        # A B-tree row holds at most 2,704 bytes, and random text does not compress.
        noise = "".join(random.Random(1).choices(string.ascii_letters, k=9_000))
        await database.write(
            lambda connection: connection.execute(
                text(f"CREATE INDEX ON notifications ((CASE event_id WHEN 'bad' THEN '{noise}' END))")
            )
        )
    with pytest.raises(Unstorable):
        await record(store, *events)
    assert await whole(store, "inbox:ada") == []
    recorded = await store_all(store, *events)
    (letter,) = (letter for one in recorded for letter in one.dead_letters)
    assert (letter.reason, letter.event_id, letter.message) == ("refused_by_store", "bad", message(*events[137]))
    assert sum(len(one.entries) for one in recorded) == 2 * 499
    expected = [(seq, f"e{n}") for seq, n in enumerate((n for n in range(500) if n != 137), 1)]
    assert await whole(store, "inbox:ada") == await whole(store, "inbox:bob") == expected
    again = await store_all(store, *events)
    assert (sum(len(one.entries) for one in again), letters_of(again)) == (0, [])
    assert sum(one.duplicates for one in again) == 500


async def test_every_refused_event_of_a_batch_becomes_a_dead_letter(store: SqlStore) -> None:
    events = [too_small(f"e{n}") if n % 7 == 0 else direct(f"e{n}", "ada") for n in range(50)]
    assert letters_of(await store_all(store, *events)) == [(f"e{n}", "refused_by_store") for n in range(0, 50, 7)]
    assert [id for _, id in await whole(store, "inbox:ada")] == [f"e{n}" for n in range(50) if n % 7]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_damaged_inbox_affects_only_its_own_events(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """The stored counter is behind the rows, so that every new row violates the uniqueness of positions."""
    async with STORES[kind]((tmp_path, lambda: request.getfixturevalue("postgres"))) as stores:
        store: Any = stores.store
        await record(store, direct("a", "ada"), direct("b", "ada"))
        damage = text("UPDATE inboxes SET last_seq = 0 WHERE user_id = 'ada'")
        await store._database.write(lambda connection: connection.execute(damage))
        recorded = await store_all(store, direct("c", "bob"), direct("d", "ada"), direct("e", "bob"))
        assert letters_of(recorded) == [("d", "refused_by_store")]
        assert await whole(store, "inbox:bob") == [(1, "c"), (2, "e")]


async def test_a_batch_that_times_out_is_halved(
    postgres_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger delays each row by 50 ms."""
    for statement in (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION slow()",
    ):
        await database.write(lambda connection, statement=statement: connection.execute(text(statement)))
    monkeypatch.setattr("adapters.sql.database.STATEMENT", 1)
    async with sql(postgres_url) as stores:
        store: Any = stores.store
        events = [direct(f"e{n}", "ada") for n in range(40)]
        with pytest.raises(StoreTimedOut):
            await record(store, *events)
        assert await whole(store, "inbox:ada") == []
        await store_all(store, *events)
        assert await whole(store, "inbox:ada") == [(n + 1, f"e{n}") for n in range(40)]
        await check_counters(stores, "ada")


async def test_unstorable_values_are_refused_in_queries_too(postgres_url: str) -> None:
    async with sql(postgres_url) as stores:
        asks: list[Callable[[], Any]] = [
            lambda: stores.preferences.put("ada", Preferences(muted_types=("a\0b",)), NOW),
            lambda: stores.dead_letters.newest(10, DeadLetterFilter(source="a\0b")),
            lambda: stores.dead_letters.count(DeadLetterFilter(reason="\0")),
            lambda: stores.inboxes.page("ada", NotificationFilter(type="\0"), 10),
        ]
        for ask in asks:
            with pytest.raises(Unstorable):
                await ask()


async def test_an_unstorable_name_does_not_affect_other_coalesced_queries(store: SqlStore) -> None:
    await record(store, direct("e", "ada"))
    for ask in (lambda name: store.heads([name]), lambda name: store.changes(name, 0, 10)):
        names = ["inbox:ada", "inbox:a\0b", "inbox:bob", "inbox:\ud800"]
        answers = await asyncio.gather(*map(ask, names), return_exceptions=True)
        assert [isinstance(answer, Unstorable) for answer in answers] == [False, True, False, True]
        assert answers[::2] == [await ask(name) for name in names[::2]]


async def test_a_thousand_concurrent_reads_take_at_most_80_statements(database: Database, store: SqlStore) -> None:
    users = [f"user-{n}" for n in range(1_000)]
    await record(store, direct("e", *users))
    asked = 0

    def count(*_: Any) -> None:
        nonlocal asked
        asked += 1

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)
    heads = await asyncio.gather(*(store.heads([f"inbox:{user}"]) for user in users))
    pages = await asyncio.gather(*(store.changes(f"inbox:{user}", 0, 50) for user in users))
    event.remove(database.engine.sync_engine, "before_cursor_execute", count)
    assert [[*head] for head in heads] == [[f"inbox:{user}"] for user in users]
    assert [page.entries[0].stream for page in pages] == [f"inbox:{user}" for user in users]
    assert asked <= 80


async def test_the_results_of_a_conflicting_attempt_are_discarded(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conflict is at the row of the feed, which comes last, after the inboxes were written."""
    add_broadcasts = PostgresqlWriting.add_broadcasts
    attempts = []

    async def add_late(*args: Any) -> int:
        attempts.append(args)
        if len(attempts) == 1:
            raise TransactionConflict("lock timeout")
        return await add_broadcasts(*args)

    monkeypatch.setattr(PostgresqlWriting, "add_broadcasts", add_late)
    recorded = await record(store, ("both.x", {"to": ["ada"]}, "e"), ("bye", {"user_id": "bob"}, "b"))
    assert len(attempts) == 2
    stored = [(await store.arrivals(stream, 0, 10)).entries for stream in ("inbox:ada", "feed:news")]
    assert recorded.entries == (*stored[0], *stored[1])
    assert [len(entries) for entries in stored] == [1, 1]
    assert ([one.user for one in recorded.sign_outs], recorded.duplicates) == (["bob"], 0)


# --- faults -----------------------------------------------------------------------------------------------------


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


async def test_concurrent_work_with_connections_cut_at_random(postgres_url: str) -> None:
    """Writers, markers and readers on two nodes, whose connections are cut repeatedly. At the end nothing is missing or
    duplicated, and every stored counter equals the counted rows."""
    chance = random.Random(7)
    users = [f"u{number}" for number in range(4)]
    async with sql(postgres_url, 6) as one, sql(postgres_url, 6) as other:
        working = True

        async def insist(act: Callable[[], Any]) -> Any:
            while True:
                try:
                    return await act()
                except StoreUnavailable:
                    await asyncio.sleep(0.01)

        async def write(stores: Stores, writer: int) -> None:
            for number in range(12):
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

        async def cut() -> None:
            admin = Database(postgres_url, 1)
            while working:
                await asyncio.sleep(0.05)
                kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                async with admin.engine.connect() as connection:
                    await connection.execute(text(f"{kill} AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"))
            await admin.close()

        others = [asyncio.create_task(task) for task in (mark(one), mark(other), cut())]
        await asyncio.gather(*(write(stores, n) for n, stores in enumerate([one, other, one, other])))
        working = False
        await asyncio.gather(*others)
        heads = await one.store.heads([f"inbox:{user}" for user in users])
        for user in users:
            await check_counters(one, user)
            ids = [id for _, id in await whole(one.store, f"inbox:{user}")]
            assert len(set(ids)) == len(ids)
            assert {f"shared-{number}" for number in range(12)} <= set(ids)
            page = await one.store.changes(f"inbox:{user}", 0, 1_000_000)
            assert page.upto == heads[f"inbox:{user}"].last
            assert len(page.entries) == len(ids)
        news = await whole(one.store, "feed:news")
        assert [seq for seq, _ in news] == list(range(1, 13))


async def test_a_node_frozen_during_a_transaction_blocks_no_other(database: Database, store: SqlStore) -> None:
    await record(store, direct("a", "ada"))
    frozen = await database.engine.connect()
    await frozen.execute(text("SELECT * FROM inboxes WHERE user_id = 'ada' FOR UPDATE"))
    began = time.monotonic()
    recorded = await record(store, direct("b", "ada"))
    assert [entry.seq for entry in recorded.entries] == [2]
    assert time.monotonic() - began < IDLE_IN_TRANSACTION + 3
    # After the thaw, the transaction of the frozen node has been ended.
    with pytest.raises(Exception, match=r"idle-in-transaction|closed"):
        await frozen.execute(text("UPDATE inboxes SET last_seq = 99"))
    await frozen.close()
    assert (await store.heads(["inbox:ada"]))["inbox:ada"].last == 2


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


async def test_an_exhausted_connection_pool_is_reported_as_unavailable(
    monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setattr("adapters.sql.database.POOL", 0.2)
    database = Database(postgres_url, 1)
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
        engine = stores.store._database.engine
        made: list[Any] = []
        event.listen(engine.sync_engine, "connect", lambda connection, _: made.append(connection))
        for turn in range(60):
            tasks = [asyncio.create_task(stores.store.heads(["inbox:ada"])) for _ in range(4)]
            tasks.append(asyncio.create_task(record(stores.store, direct(f"e{turn}", "ada"))))
            await asyncio.sleep(chance.uniform(0, 0.006))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for turn in range(60):
            await record(stores.store, direct(f"e{turn}", "ada"))
        assert sorted(id for _, id in await whole(stores.store, "inbox:ada")) == sorted(f"e{n}" for n in range(60))
        assert len(made) <= engine.pool.size()
        assert engine.pool.checkedout() == 0


async def test_a_full_disk_is_reported_as_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/herald.db", 1)
    await Schema(database).upgrade()
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


# --- indexes ----------------------------------------------------------------------------------------------------


CROWD = """
INSERT INTO inboxes (user_id, last_seq, unread_count, entry_count)
SELECT 'user-' || u, 500, 250, 500 FROM generate_series(1, 5000) u;
INSERT INTO notifications (
    id, user_id, seq, changed, title, message, notification_type, data, is_read, created_at, updated_at, origin,
    event_id, source, profile, envelope, body, event_time
)
SELECT gen_random_uuid(), 'user-' || u, s, s, 'Title', 'Message', CASE WHEN s % 100 = 0 THEN 'rare' ELSE 'common' END,
    '{}', s % 2 = 0, now() - make_interval(secs => 1000 - s), now(), 'direct', 'e' || s, 'direct', 'trading', 'typed',
    '{}', now()
FROM generate_series(1, 200) u, generate_series(1, 500) s;
ANALYZE;
"""


async def test_every_query_of_notifications_uses_an_index(database: Database, postgres: Postgres) -> None:
    postgres.psql(CROWD, database.engine.url.render_as_string(hide_password=False))
    store, inboxes = SqlStore(database, Uuid7Factory()), SqlInboxes(database)
    some = (await inboxes.page("user-7", NotificationFilter(), 1)).notifications[0].id
    questions: list[Callable[[], Any]] = [
        lambda: store.heads(["inbox:user-7", "feed:news"]),
        lambda: store.arrivals("inbox:user-7", 50, 20),
        lambda: store.changes("inbox:user-7", 50, 20),
        lambda: inboxes.get("user-7", some),
        lambda: inboxes.page("user-7", NotificationFilter(), 20),
        lambda: inboxes.page("user-7", NotificationFilter(), 20, before=50),
        lambda: inboxes.page("user-7", NotificationFilter(), 20, skip=100),
        lambda: inboxes.page("user-7", NotificationFilter(type="rare"), 20),
        lambda: inboxes.page("user-7", NotificationFilter(read=False), 20),
        lambda: inboxes.page("user-7", NotificationFilter(start=later(5), end=later(9)), 20),
        lambda: inboxes.count("user-7", NotificationFilter(read=False)),
        lambda: inboxes.unread("user-7"),
        lambda: inboxes.unread_by_type("user-7"),
        lambda: inboxes.change("user-7", some, "read", NOW),
        lambda: inboxes.change_all("user-7", "read", 90, 10, NOW),
        lambda: inboxes.change_all("user-7", "archived", 90, 10, NOW),
        lambda: record(store, direct("new", "user-7")),
        lambda: record(store, direct("new", "user-7"), direct("newer", "user-7")),
        lambda: SqlPreferences(database, Uuid7Factory()).get("user-7"),
    ]
    asked = await asked_by(database, questions)
    assert len(asked) >= len(questions) - 2  # the last two state changes and recordings use the same one
    await check_indexes(database, asked, "notifications", "inboxes")


ORDERS = """
INSERT INTO deliveries (
    id, origin, event_id, recipient, status, source, type, profile, payload, event_time, template, order_id, created_at,
    updated_at, attempts, due_at
)
SELECT gen_random_uuid(), 'order', 'e' || n, 'a' || n % 5000 || '@example.com',
    CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 10 = 0 THEN 'pending' ELSE 'sent' END, 'order', 'order', 'orders',
    '{}', now(), 't.html', 'o-' || n % 20000, now() - make_interval(secs => 100000 - n), now(), 1,
    now() + make_interval(secs => n - 500)
FROM generate_series(1, 100000) n;
INSERT INTO delivery_attempts (delivery_id, number, at, seconds, result, text)
SELECT id, 1, now(), 1, 'sent', '' FROM deliveries;
ANALYZE;
"""


async def test_every_query_of_deliveries_uses_an_index(database: Database, postgres: Postgres) -> None:
    postgres.psql(ORDERS, database.engine.url.render_as_string(hide_password=False))
    store, deliveries = SqlStore(database, Uuid7Factory()), SqlDeliveries(database)
    some = (await deliveries.newest(2))[1]
    attempt = Attempt(NOW, 1.0, "sent", 250, "")
    rest = Keep(timedelta(days=36_500), 1_000_000)
    keeping = Keeping(rest, rest, rest, Keep(timedelta(seconds=99_990), 80_000))
    claims = await deliveries.claim("email", 20, 60)
    assert len(claims) == 20
    questions: list[Callable[[], Any]] = [
        lambda: deliveries.claim("email", 20, 60),
        lambda: deliveries.record_outcomes([Outcome(claim, attempt, "sent") for claim in claims[:10]]),
        lambda: deliveries.release(claims[10:]),
        lambda: deliveries.wake_deferred("email"),
        lambda: deliveries.newest(20),
        lambda: deliveries.newest(20, before=some.id),
        lambda: deliveries.newest(20, DeliveryFilter(recipient="a7@example.com")),
        lambda: deliveries.newest(20, DeliveryFilter(status="failed")),
        lambda: deliveries.newest(20, DeliveryFilter(reference="o-7")),
        lambda: deliveries.count(DeliveryFilter(recipient="a7@example.com")),
        lambda: deliveries.count(DeliveryFilter(reference="o-7")),
        lambda: deliveries.get(some.id),
        lambda: deliveries.attempts(some.id),
        lambda: deliveries.retry(some.id),
        lambda: record(store, order("new", "kim@example.com")),
        lambda: SqlRetention(database).prune(keeping, datetime.now(UTC)),
    ]
    asked = await asked_by(database, questions)
    assert len(asked) >= len(questions)
    await check_indexes(database, asked, "deliveries", "delivery_attempts")


async def test_sqlite_finds_due_deliveries_by_an_index(tmp_path: Path) -> None:
    async with STORES["sqlite"]((tmp_path, lambda: None)) as stores:
        await record(stores.store, order("e", "kim@example.com"))
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/herald.db")
        asked = await asked_by(database, [lambda: SqlDeliveries(database).claim("email", 20, 60)])
        async with database.engine.connect() as connection:
            ((statement, parameters),) = [one for one in asked.items() if one[0].startswith("WITH due")]
            steps = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            assert "ix_deliveries_status_due_at" in str(steps.all())
        await database.close()


async def asked_by(database: Database, questions: list[Callable[[], Any]]) -> dict[str, Any]:
    """Return the statements that a call executes, with their parameters."""
    asked: dict[str, Any] = {}

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked[statement] = parameters

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    for ask in questions:
        await ask()
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    return asked


async def check_indexes(database: Database, asked: dict[str, Any], *tables: str) -> None:
    async with database.engine.connect() as connection:
        for statement, parameters in asked.items():
            explained = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            steps = "\n".join(explained.scalars())
            for table in tables:
                assert f"Seq Scan on {table}" not in steps, f"{statement}\n{steps}"
