"""A large inbox in PostgreSQL: reading pages at any depth, and marking all notifications read."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from benchmarks.broker import kafka
from benchmarks.kafka import POLL_INTERVAL_S, TIMEOUT_S, ingesting_server, stored_by
from benchmarks.postgres import Postgres, connected, filled, postgres
from benchmarks.report import Row, alternate
from benchmarks.requests import Requester, requester
from benchmarks.servers import Server, herald
from benchmarks.store import RECIPIENTS, USERS, produce_alerts
from domain.notifications import page_cursor

LARGE_INBOX: Final = "owner"
SMALL_INBOX: Final = "novice"

# Every ninth row belongs to the large inbox, so that neighbouring rows belong to other users.
ROWS: Final = 1_000_000
SHARE: Final = 9
DEPTH: Final = 100_000
KEEP_ALL: Final = str(ROWS)

# The number of requests of each kind in a round. Each requests the page after the previous one.
PAGE: Final = 50
REQUESTS: Final = 150

MARKED: Final = 100_000

# The number of events in Kafka: more than ingest stores within the measured time.
BACKLOG: Final = 60_000
WARM_UP_S: Final = 1.0
MEASURED_S: Final = 8.0


async def depth(rounds: int) -> list[Row]:
    with postgres() as database:
        chosen = f"""
            SELECT number, CASE WHEN number = 1 THEN '{SMALL_INBOX}' WHEN number % {SHARE} = 0 THEN '{LARGE_INBOX}'
                ELSE 'u-' || number % {USERS} END
            FROM generate_series(1, {ROWS}) AS number
        """
        url = await filled(database, chosen)
        (runs,) = await alternate(rounds, lambda: _read_inbox(url))
    top, deep, novice, owner = ([run[kind] for run in runs] for kind in range(4))
    return [
        Row(f"a page at depth {DEPTH:,} of an inbox, vs depth 1, 1,000,000 rows: p50", "ms", deep, top, "≤", 1.2),
        Row(f"an unread count of {ROWS // SHARE:,}, vs a count of 1: p50", "ms", owner, novice, "≤", 1.2),
    ]


async def mark_all(rounds: int) -> list[Row]:
    with kafka() as broker, postgres() as database:
        produce_alerts(broker, BACKLOG, LARGE_INBOX)

        async def stored(act: Callable[[Server], Awaitable[None]]) -> float:
            url = await _database_with_unread(database)
            serving = ingesting_server(broker.servers, DATABASE_URL=url, HERALD_KEEP_INBOX_ENTRIES=KEEP_ALL)
            async with serving as server:
                rate = await _rate_during(server, act)
            database.drop(url)
            return rate

        updates, marks, apart, meanwhile = await alternate(
            rounds,
            lambda: _update_time(database),
            lambda: _mark_time(database),
            lambda: stored(_wait),
            lambda: stored(_mark_all),
        )
    return [
        Row(f"mark-all-read of {MARKED:,}, vs one UPDATE of the same rows", "s", marks, updates, "≤", 3),
        Row("rows stored by ingest during mark-all-read, vs without it", "/s", meanwhile, apart, "≥", 0.8),
    ]


async def _read_inbox(url: str) -> tuple[float, ...]:
    """The medians, in milliseconds, of a page at the top, one far down, a small unread count and a large one. The kinds
    alternate, so that other load of the machine affects all of them."""
    top = ROWS // SHARE + 1
    async with (
        herald(DATABASE_URL=url, HERALD_KEEP_INBOX_ENTRIES=KEEP_ALL) as server,
        requester(server.port) as request,
    ):
        times: list[list[float]] = [[], [], [], []]
        for number in range(REQUESTS):
            above = top - number * PAGE
            paths = (_page(above), _page(above - DEPTH), _unread_count(SMALL_INBOX), _unread_count(LARGE_INBOX))
            # Alternating order, because a request is faster after a small one than after a large one.
            for kind in range(4) if number % 2 else reversed(range(4)):
                times[kind].append(await _timed(request, paths[kind]))
        # The first requests of each kind include opening connections and planning.
        return tuple(statistics.median(kind_times[10:]) * 1e3 for kind_times in times)


def _page(before: int) -> str:
    return f"/api/v2/notifications?user_id={LARGE_INBOX}&limit={PAGE}&cursor={quote(page_cursor(LARGE_INBOX, before))}"


def _unread_count(user: str) -> str:
    return f"/api/v2/notifications/unread-count?user_id={user}"


async def _timed(request: Requester, path: str) -> float:
    began = time.perf_counter()
    status, body = await request("GET", path)
    took = time.perf_counter() - began
    if status != 200 or (f"limit={PAGE}" in path and body.count(b'"event_id":"filled-') < PAGE):
        raise RuntimeError(f"GET {path} was answered {status}: {body[:200]!r}")
    return took


async def _database_with_unread(database: Postgres) -> str:
    """The URL of a database with an inbox of MARKED unread notifications, and as many notifications of other users."""
    return await filled(
        database,
        f"""
            SELECT number, CASE WHEN number % 2 = 0 THEN '{LARGE_INBOX}' ELSE 'u-' || number % {USERS} END
            FROM generate_series(1, {2 * MARKED}) AS number
        """,
    )


async def _update_time(database: Postgres) -> float:
    """Returns the seconds that a single UPDATE of the same rows takes."""
    url = await _database_with_unread(database)
    async with connected(url) as connection:
        began = time.perf_counter()
        done = await connection.execute(
            "UPDATE notifications SET is_read = true, read_at = now(), updated_at = now(), changed = $2"
            " WHERE user_id = $1 AND NOT is_read AND NOT is_archived",
            LARGE_INBOX,
            MARKED + 1,
        )
        took = time.perf_counter() - began
    if done != f"UPDATE {MARKED}":
        raise RuntimeError(done)
    database.drop(url)
    return took


async def _mark_time(database: Postgres) -> float:
    """Returns the seconds that Herald takes to mark all notifications as read, without other load."""
    url = await _database_with_unread(database)
    async with herald(DATABASE_URL=url, HERALD_KEEP_INBOX_ENTRIES=KEEP_ALL) as server:
        began = time.perf_counter()
        await _mark_all(server)
        took = time.perf_counter() - began
    database.drop(url)
    return took


async def _mark_all(server: Server) -> None:
    status, body = await server.request("PUT", f"/api/v2/notifications/mark-all-read?user_id={LARGE_INBOX}")
    if status != 200:
        raise RuntimeError(f"mark-all-read was answered {status}: {body!r}")


async def _wait(_: Server) -> None:
    await asyncio.sleep(MEASURED_S)


async def _rate_during(server: Server, act: Callable[[Server], Awaitable[None]]) -> float:
    """Returns the rows per second that a server stores during an action, or during the first MEASURED_S seconds of
    it."""
    async with asyncio.timeout(TIMEOUT_S):
        await _until_first_stored(server)
        await asyncio.sleep(WARM_UP_S)
        began, fewer = await _time_and_stored(server)
        acting = asyncio.create_task(act(server))
        await asyncio.wait({acting}, timeout=MEASURED_S)
        ended, rows = await _time_and_stored(server)
    if acting.done():
        await acting
    acting.cancel()
    if rows >= BACKLOG * RECIPIENTS:
        raise RuntimeError("ingest has stored the whole backlog")
    return (rows - fewer) / (ended - began)


async def _until_first_stored(server: Server) -> None:
    while not await stored_by(server):  # noqa: ASYNC110 - the state of another process
        await asyncio.sleep(POLL_INTERVAL_S)


async def _time_and_stored(server: Server) -> tuple[float, int]:
    return time.perf_counter(), await stored_by(server)
