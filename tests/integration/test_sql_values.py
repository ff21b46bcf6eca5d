"""The SQL store beyond the contract: values that the database refuses, and coalesced queries."""

import asyncio
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from adapters.clock import SystemClock
from adapters.sql.database import Database, Timeouts
from adapters.sql.dialects.postgresql import PostgresqlWriting
from adapters.sql.errors import TransactionConflict
from adapters.sql.store import SqlStore
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.dead_letters import DeadLetterFilter
from application.ports.store import Recorded, StoreTimedOut, Unstorable
from domain.notifications import NotificationFilter
from domain.planning import plan
from domain.preferences import Preferences
from tests.support.core import NOW, message
from tests.support.stores import (
    ROUTES,
    STORES,
    Sent,
    check_counters,
    direct,
    record,
    sql,
    whole,
)


def too_small(id: str) -> Sent:
    """Return an event with a number too small for jsonb. The domain does not check numbers."""
    return "direct", '{"to":["ada"],"n":1e-99999}', id


async def constrained(database: Database, rule: str) -> None:
    await database.write(lambda connection: connection.execute(text(f"ALTER TABLE notifications ADD CHECK ({rule})")))


async def store_all(store: SqlStore, *events: Sent) -> list[Recorded]:
    """Store events as ingest does."""
    store_plans = StorePlans(store, SystemClock(), StoragePolicy())
    parts = store_plans.parts([plan(message(*event), ROUTES) for event in events])
    return [part.recorded async for part in store_plans(parts)]


def letters_of(recorded: list[Recorded]) -> list[tuple[str, str]]:
    return [(letter.event_id, letter.reason) for one in recorded for letter in one.dead_letters]


@pytest.mark.parametrize("state", ["22", "23", "54"])
async def test_a_value_refused_by_the_database_affects_only_its_own_event(
    database: Database, store: SqlStore, state: str
) -> None:
    events = [direct(f"e{number}", "ada", "bob") for number in range(200)]
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
    assert sum(len(one.entries) for one in recorded) == 2 * 199
    expected = [(seq, f"e{n}") for seq, n in enumerate((n for n in range(200) if n != 137), 1)]
    assert await whole(store, "inbox:ada") == await whole(store, "inbox:bob") == expected
    again = await store_all(store, *events)
    assert (sum(len(one.entries) for one in again), letters_of(again)) == (0, [])
    assert sum(one.duplicates for one in again) == 200


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


async def test_a_batch_that_times_out_is_halved(postgres_url: str, database: Database) -> None:
    """A trigger delays each row by 20 ms."""
    for statement in (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION slow()",
    ):
        await database.write(lambda connection, statement=statement: connection.execute(text(statement)))
    async with sql(postgres_url, timeouts=Timeouts(statement=0.3)) as stores:
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
