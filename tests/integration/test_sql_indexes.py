"""Every query of the SQL store uses an index."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from adapters.clock import Uuid7Factory
from adapters.sql.backlog_counts import SqlBacklog
from adapters.sql.database import Database
from adapters.sql.deliveries import SqlDeliveries
from adapters.sql.inboxes import SqlInboxes
from adapters.sql.preferences import SqlPreferences
from adapters.sql.retention import SqlRetention
from adapters.sql.store import SqlStore
from application.ports.deliveries import DeliveryFilter, Outcome
from application.ports.retention import Keep, Keeping
from domain.deliveries import Attempt
from domain.notifications import NotificationFilter
from tests.support.core import NOW
from tests.support.postgres import Postgres
from tests.support.stores import STORES, direct, later, order, record

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
FROM generate_series(1, 40) u, generate_series(1, 500) s;
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
        lambda: inboxes.see("user-7", 90),
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
SELECT gen_random_uuid(), 'order', 'e' || n, 'a' || n % 1000 || '@example.com',
    CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 10 = 0 THEN 'pending' ELSE 'sent' END, 'order', 'order', 'orders',
    '{}', now(), 't.html', 'o-' || n % 4000, now() - make_interval(secs => 20000 - n), now(), 1,
    now() + make_interval(secs => n - 500)
FROM generate_series(1, 20000) n;
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
    keeping = Keeping(rest, rest, rest, Keep(timedelta(seconds=19_990), 16_000))
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
        lambda: SqlBacklog(database).count(1_000, 100),
    ]
    asked = await asked_by(database, questions)
    assert len(asked) >= len(questions)
    await check_indexes(database, asked, "deliveries", "delivery_attempts")


WAITING = """
UPDATE deliveries SET channel = 'push', status = 'waiting' WHERE status <> 'pending' AND order_id LIKE 'o-1%';
INSERT INTO dead_letters (id, identity, source, event_id, reason, detail, letter, kept_at)
SELECT gen_random_uuid(), sha256(n::text::bytea), 'order', 'e' || n, 'no_route', repeat('x', 200),
    repeat('x', 2000)::bytea, now()
FROM generate_series(1, 20000) n;
"""


async def test_counting_what_waits_reads_indexes(database: Database, postgres: Postgres) -> None:
    """The rows of dead letters and deliveries are large: to count them, PostgreSQL reads an index only."""
    url = database.engine.url.render_as_string(hide_password=False)
    postgres.psql(ORDERS, url)
    postgres.psql(WAITING, url)
    postgres.psql("VACUUM ANALYZE", url)
    asked = await asked_by(database, [lambda: SqlBacklog(database).count(1_000, 100)])
    pending, oldest_pending, waiting, oldest_waiting, letters = [await plan_of(database, *one) for one in asked.items()]
    for counted in (pending, waiting, letters):
        assert "Index Only Scan" in counted, counted
    for oldest in (oldest_pending, oldest_waiting):
        assert "Index Scan using ix_deliveries_status_id" in oldest, oldest
        assert "Sort" not in oldest, oldest


async def test_sqlite_finds_due_and_waiting_deliveries_by_indexes(tmp_path: Path) -> None:
    async with STORES["sqlite"]((tmp_path, lambda: None)) as stores:
        await record(stores.store, order("e", "kim@example.com"))
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/herald.db")
        asked = await asked_by(database, [lambda: SqlDeliveries(database).claim("email", 20, 60)])
        claim = next(one for one in asked.items() if one[0].startswith("WITH due"))
        assert "ix_deliveries_status_due_at" in await sqlite_plan_of(database, *claim)
        asked = await asked_by(database, [lambda: SqlBacklog(database).count(100, 100)])
        pending, oldest, waiting, letters = [await sqlite_plan_of(database, *one) for one in asked.items()]
        assert "SEARCH deliveries USING COVERING INDEX" in pending, pending
        assert "SEARCH deliveries USING INDEX ix_deliveries_status_id" in oldest, oldest
        assert "SEARCH deliveries USING INDEX" in waiting, waiting
        assert "USING COVERING INDEX" in letters, letters
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
    for statement, parameters in asked.items():
        steps = await plan_of(database, statement, parameters)
        for table in tables:
            assert f"Seq Scan on {table}" not in steps, f"{statement}\n{steps}"


async def sqlite_plan_of(database: Database, statement: str, parameters: Any) -> str:
    async with database.engine.connect() as connection:
        return str((await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all())


async def plan_of(database: Database, statement: str, parameters: Any) -> str:
    """Return PostgreSQL's plan for a statement, one step a line."""
    async with database.engine.connect() as connection:
        return "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars())
