"""Coming back: many clients at once, each with something that it missed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.clients import Client, PlainSocket, Tally, connect, socket_request
from benchmarks.postgres import connected, filled, postgres
from benchmarks.report import Row, in_turn
from benchmarks.servers import Server, herald
from domain.positions import cursor_text, tag_of
from domain.protocol import SUBPROTOCOL
from domain.streams import INBOX

CLIENTS: Final = 1_000
MISSED: Final = 50
# They had something before, too.
KNOWN: Final = 50

PATIENCE: Final = 60.0


class InboxSocket(PlainSocket):
    """A WebSocket that speaks herald.v1, with many notifications a frame."""

    def _take(self, data: bytes, start: int, end: int) -> None:
        self.received += data.count(b'{"kind":"notification"', start, end)


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
            epoch = await connection.fetchval("SELECT value FROM store_state WHERE name = 'epoch'")
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


async def _connected(url: str) -> float:
    """Seconds until as many sockets as ask for nothing are answered."""
    async with herald(HERALD_PROFILE="trading", DATABASE_URL=url) as server:
        tally = Tally(CLIENTS)
        clients = [PlainSocket(tally, socket_request(f"/ws?user_id=u-{number}")) for number in range(CLIENTS)]
        return await _timed(server, tally, clients)


async def _resumed(url: str, epoch: str) -> float:
    """Seconds until the last client has the last of what it missed."""
    async with herald(HERALD_PROFILE="trading", DATABASE_URL=url) as server:
        tally = Tally(CLIENTS)
        tally.target, tally.waiting = MISSED, CLIENTS
        clients = []
        for number in range(CLIENTS):
            user = f"u-{number}"
            cursor = cursor_text(epoch, tag_of(user), [(INBOX, KNOWN)])
            request = socket_request(f"/ws?user_id={user}&cursor={cursor}", SUBPROTOCOL)
            clients.append(InboxSocket(tally, request))
        return await _timed(server, tally, clients)


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
