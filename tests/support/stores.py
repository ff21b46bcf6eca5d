"""Opens all ports of a store together, and fills them with the data of contract tests."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from adapters.clock import SystemClock, Uuid7Factory
from adapters.memory.backlog_counts import MemoryBacklog
from adapters.memory.bindings import MemoryBindings
from adapters.memory.dead_letters import MemoryDeadLetters
from adapters.memory.deliveries import MemoryDeliveries
from adapters.memory.inboxes import MemoryInboxes
from adapters.memory.preferences import MemoryPreferences
from adapters.memory.retention import MemoryRetention
from adapters.memory.shared_records import MemoryRecords
from adapters.memory.start_offsets import MemoryStartOffsets
from adapters.memory.store import MemoryStore
from adapters.sql.backlog_counts import SqlBacklog
from adapters.sql.database import TIMEOUTS, Database, Timeouts
from adapters.sql.dead_letters import SqlDeadLetters
from adapters.sql.deliveries import SqlDeliveries
from adapters.sql.inboxes import SqlInboxes
from adapters.sql.preferences import SqlPreferences
from adapters.sql.queue_bindings import SqlBindings
from adapters.sql.retention import SqlRetention
from adapters.sql.schema import Schema
from adapters.sql.settings import Pooler
from adapters.sql.start_offsets import SqlStartOffsets
from adapters.sql.store import SqlStore
from application.ports.backlog_counts import Backlog
from application.ports.bindings import Bindings
from application.ports.dead_letters import DeadLetters
from application.ports.deliveries import Deliveries
from application.ports.inboxes import Inboxes
from application.ports.preferences import PreferencesStore
from application.ports.retention import Retention
from application.ports.start_offsets import StartOffsets
from application.ports.store import Recorded, Store
from domain.notifications import Notification, NotificationFilter
from domain.planning import plan
from domain.positions import Head
from domain.streams import Entry
from tests.support.core import NOW, message, table
from tests.support.postgres import Postgres


@dataclass(frozen=True)
class Stores:
    """All ports of one store, on the same data."""

    store: Store
    inboxes: Inboxes
    preferences: PreferencesStore
    dead_letters: DeadLetters
    deliveries: Deliveries
    retention: Retention
    start_offsets: StartOffsets
    bindings: Bindings
    backlog: Backlog


# What a store is opened with: a folder for files, and a function that returns a PostgreSQL.
Place = tuple[Path, Callable[[], Postgres]]


@asynccontextmanager
async def memory(_: Place) -> AsyncIterator[Stores]:
    records = MemoryRecords(Uuid7Factory())
    yield Stores(
        MemoryStore(records),
        MemoryInboxes(records),
        MemoryPreferences(records),
        MemoryDeadLetters(records),
        MemoryDeliveries(records, SystemClock()),
        MemoryRetention(records),
        MemoryStartOffsets(),
        MemoryBindings(records),
        MemoryBacklog(records, SystemClock()),
    )


@asynccontextmanager
async def sql(
    url: str, connections: int = 10, pooler: Pooler = "none", timeouts: Timeouts = TIMEOUTS
) -> AsyncIterator[Stores]:
    """Open the ports on a database that has its tables."""
    database, ids = Database(url, connections, pooler=pooler, timeouts=timeouts), Uuid7Factory()
    try:
        yield Stores(
            SqlStore(database, ids),
            SqlInboxes(database),
            SqlPreferences(database, ids),
            SqlDeadLetters(database),
            SqlDeliveries(database),
            SqlRetention(database),
            SqlStartOffsets(database),
            SqlBindings(database),
            SqlBacklog(database),
        )
    finally:
        await database.close()


# The content of an SQLite file with all tables; empty until a test needs it.
_MIGRATED: list[bytes] = []


async def sqlite_url(folder: Path) -> str:
    """Create an SQLite database with all tables in the folder. Returns its URL."""
    file = folder / "herald.db"
    url = f"sqlite+aiosqlite:///{file}"
    if not _MIGRATED:
        database = Database(url, 1)
        await Schema(database).upgrade()
        await database.close()
        _MIGRATED.append(file.read_bytes())
    file.write_bytes(_MIGRATED[0])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("UPDATE store_state SET value = ? WHERE name = 'epoch'", [uuid4().hex[-12:]])
    return url


@asynccontextmanager
async def sqlite(place: Place) -> AsyncIterator[Stores]:
    async with sql(await sqlite_url(place[0])) as opened:
        yield opened


@asynccontextmanager
async def postgres(place: Place) -> AsyncIterator[Stores]:
    server = place[1]()
    url = server.create()
    try:
        async with sql(url) as opened:
            yield opened
    finally:
        server.drop(url)


# Functions that open an empty store, by kind of store.
STORES: dict[str, Callable[[Place], AbstractAsyncContextManager[Stores]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgres": postgres,
}


ROUTES = table(
    """
profile = "trading"
[feeds.news]
access = "public"
[feeds.rest]
access = "public"
[[routes]]
source = "direct"
users = ["to"]
otherwise = "drop"
[[routes]]
source = "linked"
users = ["to"]
inbox = { title = "{text}", message = "By {by|}", url = "/texts/{text}" }
[[routes]]
source = "both.#"
users = ["to"]
otherwise = "drop"
[[routes]]
source = "both.#"
feed = "news"
[[routes]]
source = "rest"
feed = "rest"
[[routes]]
source = "bye"
sign_out = "user_id"
[[routes]]
source = "order"
feed = "rest"
email = { to = "mail", subject = "Order {order_id}", template = "order_created.html", user = "user" }
reference = "order_id"
inbox = { title = "Order", url = "/orders/{order_id}" }
"""
)

# Source, payload, id.
Sent = tuple[str, Any, str]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def direct(id: str, *to: str, type: str = "direct") -> Sent:
    return "direct", {"to": list(to), "text": id, "type": type}, id


def order(id: str, *to: str, user: str | None = None, order_id: str = "o-1", type: str = "order") -> Sent:
    return "order", {"mail": list(to), "user": user, "order_id": order_id, "type": type}, id


async def record(store: Store, *events: Sent, at: datetime = NOW) -> Recorded:
    return await store.record([plan(message(*event), ROUTES) for event in events], at)


async def fill(store: Store, count: int, user: str = "ada", *, type: str = "direct", prefix: str = "e") -> list[Entry]:
    """Store that many notifications for a user, one per second: e1 at NOW + 1 s, e2 at NOW + 2 s and so on."""
    entries: list[Entry] = []
    for number in range(1, count + 1):
        entries += (await record(store, direct(f"{prefix}{number}", user, type=type), at=later(number))).entries
    return entries


def names(entries: Sequence[Entry]) -> list[tuple[str, int, str]]:
    return [(entry.stream, entry.seq, entry.content.event_id) for entry in entries]


async def whole(store: Store, stream: str) -> list[tuple[int, str]]:
    page = await store.arrivals(stream, 0, 1_000_000)
    return [(entry.seq, entry.content.event_id) for entry in page.entries]


async def kept(stores: Stores, user: str = "ada") -> list[Notification]:
    """Return the whole inbox including archived notifications, oldest first."""
    leaf = await stores.inboxes.page(user, NotificationFilter(archived=None), 1_000_000)
    return list(leaf.notifications[::-1])


async def head(stores: Stores, user: str = "ada") -> Head:
    return (await stores.store.heads([f"inbox:{user}"]))[f"inbox:{user}"]


async def check_counters(stores: Stores, user: str = "ada") -> None:
    """Assert that the stored counters equal the counted rows."""
    rows = await kept(stores, user)
    unread = [one for one in rows if not one.state.read and not one.state.archived]
    now = await head(stores, user)
    assert (now.unread, now.unseen) == (len(unread), len([one for one in unread if one.seq > now.seen_seq]))
    assert (await stores.inboxes.page(user, NotificationFilter(), 1)).head == now
    assert sum((await stores.inboxes.unread_by_type(user)).values()) == len(unread)
    assert all(now.pruned < one.seq <= one.changed <= now.last for one in rows)
    assert now.seen_seq <= now.seen_changed <= now.last
