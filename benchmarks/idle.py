"""Idle sessions: their cost, and how much they delay deliveries to other sessions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.clients import PlainSocket, ProtocolSocket, client_group, socket_request
from benchmarks.fan_out import post_paced
from benchmarks.nodes import CpuTime, Deployment, Services, running_deployment, services
from benchmarks.postgres import connected
from benchmarks.report import Row, alternate, p50_p99
from domain.protocol.herald_v1 import SUBPROTOCOL

# The compared numbers of idle sessions. The smallest is not 0, because a node without sessions sends no queries to the
# database.
FEW_SESSIONS: Final = 10
SOME_SESSIONS: Final = 1_000
MANY_SESSIONS: Final = 8_000

# The time until the work of connecting has settled, and the measured time after it: one heartbeat for each session, and
# six comparisons of each stream with the store.
SETTLING_S: Final = 5.0
WATCHED_S: Final = 30.0

# The number of users who have an entry already. A user without one has no row that Herald could compare a stream with.
INSERT_INBOXES: Final = """
    INSERT INTO inboxes (user_id, last_seq, unread_count, entry_count, oldest_at)
    SELECT 'u-' || number, 1, 1, 1, now() FROM generate_series(0, $1::int - 1) AS number
"""

# The number of clients that receive messages.
ACTIVE_CLIENTS: Final = 10
MESSAGES: Final = 1_000
WARM_UP: Final = 50
INTERVAL_S: Final = 0.01
MESSAGE_BYTES: Final = 200

TIMEOUT_S: Final = 60.0


async def cost(rounds: int) -> list[Row]:
    with services() as shared:
        few, some, many = await alternate(
            rounds,
            lambda: _idle_cost(shared, FEW_SESSIONS),
            lambda: _idle_cost(shared, SOME_SESSIONS),
            lambda: _idle_cost(shared, MANY_SESSIONS),
        )
    first = [
        more.minus(less).each((SOME_SESSIONS - FEW_SESSIONS) * WATCHED_S) for less, more in zip(few, some, strict=True)
    ]
    further = [
        more.minus(less).each((MANY_SESSIONS - SOME_SESSIONS) * WATCHED_S)
        for less, more in zip(some, many, strict=True)
    ]
    what = "an idle herald.v1 session, per second:"
    return [
        Row(f"{what} its node, the first {SOME_SESSIONS:,} sessions", "µs", [cost.nodes[0] for cost in first]),
        Row(
            f"{what} its node, the next {MANY_SESSIONS - SOME_SESSIONS:,} sessions, vs the first {SOME_SESSIONS:,}",
            "µs",
            [cost.nodes[0] for cost in further],
            [cost.nodes[0] for cost in first],
            "≤",
            1.2,
        ),
        Row(f"{what} PostgreSQL", "µs", [cost.database for cost in further]),
    ]


async def beside(rounds: int) -> list[Row]:
    with services() as shared:
        alone, beside_many = await alternate(
            rounds, lambda: _latencies(shared, 0), lambda: _latencies(shared, MANY_SESSIONS)
        )
    what = f"latency to {ACTIVE_CLIENTS} WebSockets beside {MANY_SESSIONS:,} idle sessions, vs without them:"
    return [
        Row(f"{what} {name}", "ms", [run[index] for run in beside_many], [run[index] for run in alone], "≤", bound)
        for index, name, bound in ((0, "p50", 1.2), (1, "p99", 3))
    ]


@asynccontextmanager
async def _idle(shared: Services, count: int) -> AsyncIterator[Deployment]:
    """Starts a node and connects `count` idle sessions to it."""
    # The sessions follow one feed, to which nothing is published.
    requests = [socket_request(f"/ws?user_id=u-{number}&feeds=market", SUBPROTOCOL) for number in range(count)]
    async with running_deployment(shared, 1, HERALD_PROFILE="trading,signals") as deployment:
        async with connected(deployment.url) as connection:
            await connection.execute(INSERT_INBOXES, count)
        (node,) = deployment.nodes
        async with client_group(node.port, ProtocolSocket, requests) as idle:
            await asyncio.sleep(SETTLING_S)
            yield deployment
            if any(client.received for client in idle.clients):
                raise RuntimeError("an idle session has received entries")


async def _idle_cost(shared: Services, count: int) -> CpuTime:
    async with _idle(shared, count) as deployment:
        return await deployment.cpu_time_in(WATCHED_S)


async def _latencies(shared: Services, count: int) -> tuple[float, float]:
    async with _idle(shared, count) as deployment:
        (node,) = deployment.nodes
        async with client_group(node.port, PlainSocket, [socket_request(node.path)] * ACTIVE_CLIENTS) as others:
            for messages in (WARM_UP, MESSAGES):
                latencies = others.progress.latencies = []
                others.expect(messages)
                await post_paced(node, messages, MESSAGE_BYTES, INTERVAL_S)
                await others.all_received(TIMEOUT_S)
    return p50_p99(latencies)
