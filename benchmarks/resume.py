"""Coming back: many clients at once, each with something that it missed; to the same node, or from one that is dead."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.clients import Client, InboxSocket, PlainSocket, Tally, connect, crowd, socket_request
from benchmarks.nodes import Services, services, site
from benchmarks.postgres import connected, filled, postgres
from benchmarks.report import Row, in_turn
from benchmarks.servers import Server, herald
from domain.positions import cursor_text, tag_of
from domain.protocol.herald_v1 import SUBPROTOCOL
from domain.streams import INBOX

CLIENTS: Final = 1_000
USERS: Final = [f"u-{number}" for number in range(CLIENTS)]
MISSED: Final = 50
# They had something before, too.
KNOWN: Final = 50

# Users whom one event is for.
RECIPIENTS: Final = 100

PATIENCE: Final = 60.0


async def resume(rounds: int) -> list[Row]:
    with postgres() as database:
        url = await filled(
            database,
            f"""
                SELECT number, 'u-' || number % {CLIENTS}
                FROM generate_series(1, {CLIENTS * (KNOWN + MISSED)}) AS number
            """,
        )
        async with connected(url) as connection:
            epoch = await _epoch(connection)
        plain, resumed = await in_turn(rounds, lambda: _connected(url), lambda: _resumed(url, epoch))
    return [
        Row(
            f"{CLIENTS:,} clients at once that resume {MISSED} missed notifications each, against plain connects",
            "s",
            resumed,
            plain,
            "≤",
            2,
        )
    ]


async def move(rounds: int) -> list[Row]:
    with services() as shared:
        plain, moved = await in_turn(rounds, lambda: _connected_to_one_of_two(shared), lambda: _moved(shared))
    what = f"{CLIENTS:,} clients of a node that is killed resume at another, with what they missed, against"
    return [Row(f"{what} plain connects", "s", moved, plain, "≤", 3)]


async def _connected(url: str) -> float:
    async with herald(HERALD_PROFILE="trading", DATABASE_URL=url) as server:
        return await _until_answered(server)


async def _resumed(url: str, epoch: str) -> float:
    async with herald(HERALD_PROFILE="trading", DATABASE_URL=url) as server:
        return await _until_all_have(server, epoch, KNOWN, MISSED)


async def _connected_to_one_of_two(shared: Services) -> float:
    async with site(shared, 2, HERALD_PROFILE="trading") as at:
        _, server = at.nodes
        await _notify_all(server)
        return await _until_answered(server)


async def _moved(shared: Services) -> float:
    """Seconds from the kill until all are at the other node, and have what was stored when they were at neither."""
    async with site(shared, 2, HERALD_PROFILE="trading") as at:
        here, there = at.nodes
        async with connected(at.url) as connection:
            epoch = await _epoch(connection)
        async with crowd(here.port, InboxSocket, [_resuming(user, epoch, 0) for user in USERS]) as clients:
            clients.expect(1)
            await _notify_all(here)
            await clients.all_received(PATIENCE)
            began = time.perf_counter()
            here.kill()
            await _notify_all(there)
            notified = time.perf_counter()
            return notified - began + await _until_all_have(there, epoch, 1, 1)


async def _notify_all(server: Server) -> None:
    """One notification for each user."""
    some = [USERS[first : first + RECIPIENTS] for first in range(0, CLIENTS, RECIPIENTS)]
    await server.post(json.dumps([{"source": "risk-events", "payload": {"user_id": users}} for users in some]).encode())


def _resuming(user: str, epoch: str, position: int) -> bytes:
    cursor = cursor_text(epoch, tag_of(user), [(INBOX, position)])
    return socket_request(f"/ws?user_id={user}&cursor={cursor}", SUBPROTOCOL)


async def _epoch(connection: Any) -> str:
    epoch: str = await connection.fetchval("SELECT value FROM store_state WHERE name = 'epoch'")
    return epoch


async def _until_answered(server: Server) -> float:
    """Seconds until as many sockets as ask for nothing are answered, which connect at once."""
    tally = Tally(CLIENTS)
    return await _timed(server, tally, [PlainSocket(tally, socket_request(f"/ws?user_id={user}")) for user in USERS])


async def _until_all_have(server: Server, epoch: str, position: int, missed: int) -> float:
    """Seconds until the last of them, which connect at once, has the last of what it missed behind this position."""
    tally = Tally(CLIENTS)
    tally.target, tally.waiting = missed, CLIENTS
    return await _timed(server, tally, [InboxSocket(tally, _resuming(user, epoch, position)) for user in USERS])


async def _timed(server: Server, tally: Tally, clients: Sequence[Client]) -> float:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(connect(server.port, client) for client in clients))
            if tally.waiting:
                await tally.finished.wait()
        return time.perf_counter() - began
    finally:
        for client in clients:
            client.transport.abort()
        await asyncio.sleep(0.1)
