"""A large inbox in PostgreSQL: looked through at any depth, and marked read as a whole."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from benchmarks.broker import kafka
from benchmarks.kafka import GLANCE, PATIENCE, ingesting, stored_by
from benchmarks.postgres import Postgres, connected, filled, postgres
from benchmarks.report import Row, in_turn
from benchmarks.requests import Asker, asker
from benchmarks.servers import Server, herald
from benchmarks.store import RECIPIENTS, USERS, produce_alerts
from domain.notifications import page_cursor

OWNER: Final = "owner"
NOVICE: Final = "novice"

# The large inbox has every ninth row, so that what lies beside its rows is others'.
ROWS: Final = 1_000_000
SHARE: Final = 9
DEPTH: Final = 100_000
KEEP_ALL: Final = str(ROWS)

# Of each kind in a round; each begins a page further down.
PAGE: Final = 50
REQUESTS: Final = 150

MARKED: Final = 100_000

# Events that wait in Kafka: more than ingest takes within the seconds that it is watched for.
BACKLOG: Final = 60_000
WARM_UP: Final = 1.0
WINDOW: Final = 8.0


async def depth(rounds: int) -> list[Row]:
    with postgres() as database:
        chosen = f"""
            SELECT number, CASE WHEN number = 1 THEN '{NOVICE}' WHEN number % {SHARE} = 0 THEN '{OWNER}'
                ELSE 'u-' || number % {USERS} END
            FROM generate_series(1, {ROWS}) AS number
        """
        url = await filled(database, chosen)
        (runs,) = await in_turn(rounds, lambda: _looked_through(url))
    top, deep, novice, owner = ([run[kind] for run in runs] for kind in range(4))
    return [
        Row(f"a page at depth {DEPTH:,} of an inbox against depth 1, 1,000,000 rows: p50", "ms", deep, top, "≤", 1.2),
        Row(f"the unread count of {ROWS // SHARE:,} against that of one: p50", "ms", owner, novice, "≤", 1.2),
    ]


async def mark_all(rounds: int) -> list[Row]:
    with kafka() as broker, postgres() as database:
        produce_alerts(broker, BACKLOG, OWNER)

        async def stored(act: Callable[[Server], Awaitable[None]]) -> float:
            url = await _unread(database)
            serving = ingesting(broker.servers, DATABASE_URL=url, HERALD_KEEP_INBOX_ENTRIES=KEEP_ALL)
            async with serving as server:
                rate = await _rate(server, act)
            database.drop(url)
            return rate

        updates, marks, apart, meanwhile = await in_turn(
            rounds,
            lambda: _updated(database),
            lambda: _marked(database),
            lambda: stored(_nothing),
            lambda: stored(_mark_all),
        )
    return [
        Row(f"mark-all-read of {MARKED:,}, against one UPDATE of the same rows", "s", marks, updates, "≤", 3),
        Row("rows that ingest stores meanwhile, against without", "/s", meanwhile, apart, "≥", 0.8),
    ]


async def _looked_through(url: str) -> tuple[float, ...]:
    """The medians, in milliseconds, of a page at the top, one far down, a small unread count and a large one: by turns,
    so that whatever else happens meets all of them."""
    top = ROWS // SHARE + 1
    async with herald(DATABASE_URL=url, HERALD_KEEP_INBOX_ENTRIES=KEEP_ALL) as server, asker(server.port) as ask:
        taken: list[list[float]] = [[], [], [], []]
        for number in range(REQUESTS):
            above = top - number * PAGE
            paths = (_page(above), _page(above - DEPTH), _unread_count(NOVICE), _unread_count(OWNER))
            # Back and forth, since a request is quicker behind a small one than behind a large one.
            for kind in range(4) if number % 2 else reversed(range(4)):
                taken[kind].append(await _timed(ask, paths[kind]))
        # The first ones of each kind bring connections and plans with them.
        return tuple(statistics.median(times[10:]) * 1e3 for times in taken)


def _page(before: int) -> str:
    return f"/api/v2/notifications?user_id={OWNER}&limit={PAGE}&cursor={quote(page_cursor(OWNER, before))}"


def _unread_count(user: str) -> str:
    return f"/api/v2/notifications/unread-count?user_id={user}"


async def _timed(ask: Asker, path: str) -> float:
    began = time.perf_counter()
    status, body = await ask("GET", path)
    took = time.perf_counter() - began
    if status != 200 or (f"limit={PAGE}" in path and body.count(b'"event_id":"filled-') < PAGE):
        raise RuntimeError(f"GET {path} was answered {status}: {body[:200]!r}")
    return took


async def _unread(database: Postgres) -> str:
    """The URL of a database with an inbox of so many unread, and as many notifications of others."""
    return await filled(
        database,
        f"""
            SELECT number, CASE WHEN number % 2 = 0 THEN '{OWNER}' ELSE 'u-' || number % {USERS} END
            FROM generate_series(1, {2 * MARKED}) AS number
        """,
    )


async def _updated(database: Postgres) -> float:
    """Seconds that PostgreSQL needs by itself."""
    url = await _unread(database)
    async with connected(url) as connection:
        began = time.perf_counter()
        done = await connection.execute(
            "UPDATE notifications SET is_read = true, read_at = now(), updated_at = now(), changed = $2"
            " WHERE user_id = $1 AND NOT is_read AND NOT is_archived",
            OWNER,
            MARKED + 1,
        )
        took = time.perf_counter() - began
    if done != f"UPDATE {MARKED}":
        raise RuntimeError(done)
    database.drop(url)
    return took


async def _marked(database: Postgres) -> float:
    """Seconds that Herald needs, which nobody asks for anything else."""
    url = await _unread(database)
    async with herald(DATABASE_URL=url, HERALD_KEEP_INBOX_ENTRIES=KEEP_ALL) as server:
        began = time.perf_counter()
        await _mark_all(server)
        took = time.perf_counter() - began
    database.drop(url)
    return took


async def _mark_all(server: Server) -> None:
    status, body = await server.request("PUT", f"/api/v2/notifications/mark-all-read?user_id={OWNER}")
    if status != 200:
        raise RuntimeError(f"mark-all-read was answered {status}: {body!r}")


async def _nothing(_: Server) -> None:
    await asyncio.sleep(WINDOW)


async def _rate(server: Server, act: Callable[[Server], Awaitable[None]]) -> float:
    """Rows a second that a server stores during an act, or the first seconds of it."""
    async with asyncio.timeout(PATIENCE):
        await _first_stored(server)
        await asyncio.sleep(WARM_UP)
        began, fewer = await _moment(server)
        acting = asyncio.create_task(act(server))
        await asyncio.wait({acting}, timeout=WINDOW)
        ended, rows = await _moment(server)
    if acting.done():
        await acting
    acting.cancel()
    if rows >= BACKLOG * RECIPIENTS:
        raise RuntimeError("ingest has run dry")
    return (rows - fewer) / (ended - began)


async def _first_stored(server: Server) -> None:
    while not await stored_by(server):  # noqa: ASYNC110 - another process's
        await asyncio.sleep(GLANCE)


async def _moment(server: Server) -> tuple[float, int]:
    return time.perf_counter(), await stored_by(server)
