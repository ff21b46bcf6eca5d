"""Sessions to which nothing happens: what they cost, and how much later others have theirs because of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.clients import PlainSocket, ProtocolSocket, crowd, socket_request
from benchmarks.fan_out import post_paced
from benchmarks.nodes import Services, Site, Spent, services, site
from benchmarks.postgres import connected
from benchmarks.report import Row, in_turn, p50_p99
from domain.protocol.herald_v1 import SUBPROTOCOL

# A few sessions, some, and many: a node without any asks nothing of the database.
FEW: Final = 10
SOME: Final = 1_000
MANY: Final = 8_000

# Seconds until connecting has left nothing to do, and in which they are watched then: a heartbeat each, and each stream
# compared with the store six times.
SETTLED: Final = 5.0
WATCHED: Final = 30.0

# Something has happened to these users before: else there is no row to compare their sessions with.
OPEN_INBOXES: Final = """
    INSERT INTO inboxes (user_id, last_seq, unread_count, entry_count, oldest_at)
    SELECT 'u-' || number, 1, 1, 1, now() FROM generate_series(0, $1::int - 1) AS number
"""

# To whom something does happen: these, so often.
OTHERS: Final = 10
MESSAGES: Final = 1_000
WARM_UP: Final = 50
PACE: Final = 0.01
SIZE: Final = 200

PATIENCE: Final = 60.0


async def cost(rounds: int) -> list[Row]:
    with services() as shared:
        few, some, many = await in_turn(
            rounds, lambda: _watched(shared, FEW), lambda: _watched(shared, SOME), lambda: _watched(shared, MANY)
        )
    first = [more.minus(less).each((SOME - FEW) * WATCHED) for less, more in zip(few, some, strict=True)]
    further = [more.minus(less).each((MANY - SOME) * WATCHED) for less, more in zip(some, many, strict=True)]
    what = "a session of herald.v1 to which nothing happens, a second:"
    return [
        Row(f"{what} its node, the first {SOME:,}", "µs", [cost.nodes[0] for cost in first]),
        Row(
            f"{what} its node, the next {MANY - SOME:,}, against those",
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
        alone, beside_many = await in_turn(rounds, lambda: _latencies(shared, 0), lambda: _latencies(shared, MANY))
    what = f"to {OTHERS} WebSockets beside {MANY:,} sessions to which nothing happens, against without:"
    return [
        Row(f"{what} {name}", "ms", [run[index] for run in beside_many], [run[index] for run in alone], "≤", bound)
        for index, name, bound in ((0, "p50", 1.2), (1, "p99", 3))
    ]


@asynccontextmanager
async def _idle(shared: Services, count: int) -> AsyncIterator[Site]:
    """A node with so many of them, and nobody else yet."""
    # Of the feeds they follow one in which nothing is published.
    requests = [socket_request(f"/ws?user_id=u-{number}&feeds=market", SUBPROTOCOL) for number in range(count)]
    async with site(shared, 1, HERALD_PROFILE="trading,signals") as at:
        async with connected(at.url) as connection:
            await connection.execute(OPEN_INBOXES, count)
        (node,) = at.nodes
        async with crowd(node.port, ProtocolSocket, requests) as idle:
            await asyncio.sleep(SETTLED)
            yield at
            if any(client.received for client in idle.clients):
                raise RuntimeError("something has happened to them")


async def _watched(shared: Services, count: int) -> Spent:
    async with _idle(shared, count) as at:
        return await at.spent_in(WATCHED)


async def _latencies(shared: Services, count: int) -> tuple[float, float]:
    async with _idle(shared, count) as at:
        (node,) = at.nodes
        async with crowd(node.port, PlainSocket, [socket_request(node.path)] * OTHERS) as others:
            for messages in (WARM_UP, MESSAGES):
                latencies = others.tally.latencies = []
                others.expect(messages)
                await post_paced(node, messages, SIZE, PACE)
                await others.all_received(PATIENCE)
    return p50_p99(latencies)
