"""Memory per session, and the cost of stalled clients: connected clients that never read."""

import asyncio
import statistics
from contextlib import AsyncExitStack
from typing import Final

from benchmarks.clients import (
    Client,
    ClientGroup,
    EventStream,
    PlainSocket,
    client_group,
    socket_request,
    stream_request,
)
from benchmarks.fan_out import post_paced
from benchmarks.report import Row, alternate
from benchmarks.servers import Serving, herald

CLIENTS: Final = 1_000

# More than the kernel's buffers for a client that does not read: 400 KB each.
FLOOD: Final = 400
FLOOD_MESSAGE_BYTES: Final = 1_000
FLOOD_INTERVAL_S: Final = 0.02

# The measured messages: so few per second that no client waits for the CPU.
MESSAGES: Final = 60
INTERVAL_S: Final = 0.1

TIMEOUT_S: Final = 60.0


async def session(rounds: int) -> list[Row]:
    sockets, streams = await alternate(
        rounds,
        lambda: memory_per_session(herald(), PlainSocket, socket_request("/ws/notifications")),
        lambda: memory_per_session(herald(HERALD_PROFILE="products"), EventStream, stream_request("/events/stream")),
    )
    return [
        Row("memory of a WebSocket session", "KB", sockets, None, "≤", 170, "value"),
        Row("memory of an event stream's session", "KB", streams, None, "≤", 50, "value"),
    ]


async def never_read(rounds: int) -> list[Row]:
    alone, beside_readers, beside_stalled = await alternate(
        rounds, lambda: _flood(0, 0), lambda: _flood(CLIENTS, 0), lambda: _flood(0, CLIENTS)
    )
    memory = [[run[0] for run in runs] for runs in (beside_readers, beside_stalled)]
    latency = [[run[1] for run in runs] for runs in (alone, beside_stalled)]
    return [
        Row(
            "1,000 reading and 1,000 stalled clients, vs 2,000 reading: memory",
            "MB",
            memory[1],
            memory[0],
            "≤",
            1.1,
        ),
        Row("the same, vs the 1,000 reading clients alone: p99 to a socket", "ms", latency[1], latency[0], "≤", 1.2),
    ]


async def memory_per_session(serving: Serving, kind: type[Client], request: bytes) -> float:
    """Returns the kilobytes of the server's resident memory per client."""
    async with serving as server:
        # Connected before the measurement: for the first clients, modules are loaded and pools and buffers are
        # allocated.
        async with client_group(server.socket_port, kind, [request] * 20):
            await asyncio.sleep(0.5)
        before = server.memory
        async with client_group(server.socket_port, kind, [request] * CLIENTS):
            await asyncio.sleep(2)
            return (server.memory - before) / CLIENTS / 1_000


async def _flood(more_readers: int, stalled: int) -> tuple[float, float]:
    """The server's memory in MB and the p99 of 1,000 reading clients in ms, with further clients beside them."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(herald())

        async def connect_clients(size: int, reads: bool = True) -> ClientGroup:
            requests = [socket_request(server.path)] * size
            return await stack.enter_async_context(
                client_group(server.port, PlainSocket, requests, reads=reads, ethernet=True)
            )

        readers, others = await connect_clients(CLIENTS), await connect_clients(more_readers)
        await connect_clients(stalled, reads=False)
        for count, size, interval in (
            (FLOOD, FLOOD_MESSAGE_BYTES, FLOOD_INTERVAL_S),
            (MESSAGES, FLOOD_MESSAGE_BYTES, INTERVAL_S),
        ):
            latencies = readers.progress.latencies = []
            for group in (readers, others):
                group.expect(count)
            await post_paced(server, count, size, interval)
            for group in (readers, others):
                await group.all_received(TIMEOUT_S)
        return server.memory / 1e6, statistics.quantiles(latencies, n=100)[98] * 1e3
