"""Memory: what a session costs, and what clients cost that never read."""

import asyncio
import statistics
from contextlib import AsyncExitStack
from typing import Final

from benchmarks.clients import Client, Crowd, EventStream, PlainSocket, crowd, socket_request, stream_request
from benchmarks.fan_out import post_paced
from benchmarks.report import Row, in_turn
from benchmarks.servers import herald

CLIENTS: Final = 1_000

# Enough to fill what the kernel keeps for a client that does not read, and then some: 400 KB each.
FLOOD: Final = 400
FLOOD_SIZE: Final = 1_000
FLOOD_PACE: Final = 0.02

# Then what is measured: few enough a second that nobody waits for the processor.
MESSAGES: Final = 60
PACE: Final = 0.1

PATIENCE: Final = 60.0


async def session(rounds: int) -> list[Row]:
    sockets, streams = await in_turn(
        rounds,
        lambda: _session("signals", PlainSocket, socket_request("/ws/notifications")),
        lambda: _session("products", EventStream, stream_request("/events/stream")),
    )
    return [
        Row("memory of a WebSocket session", "KB", sockets, None, "≤", 170, "value"),
        Row("memory of an event stream's session", "KB", streams, None, "≤", 50, "value"),
    ]


async def never_read(rounds: int) -> list[Row]:
    alone, beside_readers, beside_idle = await in_turn(
        rounds, lambda: _flooded(0, 0), lambda: _flooded(CLIENTS, 0), lambda: _flooded(0, CLIENTS)
    )
    memory = [[run[0] for run in runs] for runs in (beside_readers, beside_idle)]
    latency = [[run[1] for run in runs] for runs in (alone, beside_idle)]
    return [
        Row(
            "1,000 readers and 1,000 that never read, against 2,000 readers: memory",
            "MB",
            memory[1],
            memory[0],
            "≤",
            1.1,
        ),
        Row("the same, against the 1,000 readers alone: p99 to a socket", "ms", latency[1], latency[0], "≤", 1.2),
    ]


async def _session(profile: str, kind: type[Client], request: bytes) -> float:
    """Kilobytes that the server grows by for each of its clients."""
    async with herald(HERALD_PROFILE=profile) as server:
        # The first ones bring modules, pools and buffers with them.
        async with crowd(server.port, kind, [request] * 20):
            await asyncio.sleep(0.5)
        before = server.memory
        async with crowd(server.port, kind, [request] * CLIENTS):
            await asyncio.sleep(2)
            return (server.memory - before) / CLIENTS / 1_000


async def _flooded(more_readers: int, idle: int) -> tuple[float, float]:
    """The server's megabytes and the p99 of 1,000 readers in milliseconds, with others beside them."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(herald())

        async def come(size: int, reads: bool = True) -> Crowd:
            requests = [socket_request(server.path)] * size
            return await stack.enter_async_context(
                crowd(server.port, PlainSocket, requests, reads=reads, ethernet=True)
            )

        readers, others = await come(CLIENTS), await come(more_readers)
        await come(idle, reads=False)
        for count, size, pace in ((FLOOD, FLOOD_SIZE, FLOOD_PACE), (MESSAGES, FLOOD_SIZE, PACE)):
            latencies = readers.tally.latencies = []
            for some in (readers, others):
                some.expect(count)
            await post_paced(server, count, size, pace)
            for some in (readers, others):
                await some.all_received(PATIENCE)
        return server.memory / 1e6, statistics.quantiles(latencies, n=100)[98] * 1e3
