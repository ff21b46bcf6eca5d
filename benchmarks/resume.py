"""Resuming: many concurrent clients that have missed entries, at the same node or after their node was killed."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.clients import Client, InboxSocket, PlainSocket, Progress, client_group, connect, socket_request
from benchmarks.nodes import Services, running_deployment, services
from benchmarks.postgres import connected, filled, postgres
from benchmarks.report import Row, alternate
from benchmarks.servers import Server, herald
from domain.positions import cursor_text, tag_of
from domain.protocol.herald_v1 import SUBPROTOCOL
from domain.streams import INBOX

CLIENTS: Final = 1_000
USERS: Final = [f"u-{number}" for number in range(CLIENTS)]
MISSED: Final = 50
# The number of notifications of each user that the client has received before it resumes.
RECEIVED_BEFORE: Final = 50

# The number of recipients of one event.
RECIPIENTS: Final = 100

TIMEOUT_S: Final = 60.0


async def resume(rounds: int) -> list[Row]:
    with postgres() as database:
        url = await filled(
            database,
            f"""
                SELECT number, 'u-' || number % {CLIENTS}
                FROM generate_series(1, {CLIENTS * (RECEIVED_BEFORE + MISSED)}) AS number
            """,
        )
        async with connected(url) as connection:
            epoch = await _epoch(connection)
        plain, resumed = await alternate(rounds, lambda: _connect(url), lambda: _resume(url, epoch))
    return [
        Row(
            f"{CLIENTS:,} concurrent clients resuming {MISSED} missed notifications each, vs plain connects",
            "s",
            resumed,
            plain,
            "≤",
            2,
        )
    ]


async def move(rounds: int) -> list[Row]:
    with services() as shared:
        plain, moved = await alternate(rounds, lambda: _connect_to_one_of_two(shared), lambda: _move(shared))
    what = f"{CLIENTS:,} clients of a killed node resuming at another node, vs plain connects"
    return [Row(what, "s", moved, plain, "≤", 3)]


async def _connect(url: str) -> float:
    async with herald(HERALD_PROFILE="trading", DATABASE_URL=url) as server:
        return await _until_all_connected(server)


async def _resume(url: str, epoch: str) -> float:
    async with herald(HERALD_PROFILE="trading", DATABASE_URL=url) as server:
        return await _until_all_received(server, epoch, RECEIVED_BEFORE, MISSED)


async def _connect_to_one_of_two(shared: Services) -> float:
    async with running_deployment(shared, 2, HERALD_PROFILE="trading") as deployment:
        _, server = deployment.nodes
        await _notify_every_user(server)
        return await _until_all_connected(server)


async def _move(shared: Services) -> float:
    """Kills a node. Returns the seconds until all of its clients are connected to the other node and have received what
    they missed."""
    async with running_deployment(shared, 2, HERALD_PROFILE="trading") as deployment:
        here, there = deployment.nodes
        async with connected(deployment.url) as connection:
            epoch = await _epoch(connection)
        async with client_group(here.port, InboxSocket, [_resuming(user, epoch, 0) for user in USERS]) as clients:
            clients.expect(1)
            await _notify_every_user(here)
            await clients.all_received(TIMEOUT_S)
            began = time.perf_counter()
            here.kill()
            await _notify_every_user(there)
            notified = time.perf_counter()
            return notified - began + await _until_all_received(there, epoch, 1, 1)


async def _notify_every_user(server: Server) -> None:
    """Publishes one notification for each user."""
    chunks = [USERS[first : first + RECIPIENTS] for first in range(0, CLIENTS, RECIPIENTS)]
    await server.post(
        json.dumps([{"source": "risk-events", "payload": {"user_id": users}} for users in chunks]).encode()
    )


def _resuming(user: str, epoch: str, position: int) -> bytes:
    cursor = cursor_text(epoch, tag_of(user), [(INBOX, position)])
    return socket_request(f"/ws?user_id={user}&cursor={cursor}", SUBPROTOCOL)


async def _epoch(connection: Any) -> str:
    epoch: str = await connection.fetchval("SELECT value FROM store_state WHERE name = 'epoch'")
    return epoch


async def _until_all_connected(server: Server) -> float:
    """Connects plain sockets concurrently. Returns the seconds until all handshakes are answered."""
    progress = Progress(CLIENTS)
    return await _timed(
        server, progress, [PlainSocket(progress, socket_request(f"/ws?user_id={user}")) for user in USERS]
    )


async def _until_all_received(server: Server, epoch: str, position: int, missed: int) -> float:
    """Resumes all clients concurrently after a position. Returns the seconds until the last one has received the
    `missed` entries."""
    progress = Progress(CLIENTS)
    progress.target, progress.waiting = missed, CLIENTS
    return await _timed(server, progress, [InboxSocket(progress, _resuming(user, epoch, position)) for user in USERS])


async def _timed(server: Server, progress: Progress, clients: Sequence[Client]) -> float:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(connect(server.port, client) for client in clients))
            if progress.waiting:
                await progress.finished.wait()
        return time.perf_counter() - began
    finally:
        for client in clients:
            client.transport.abort()
        await asyncio.sleep(0.1)
