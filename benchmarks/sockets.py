"""The second listener for WebSockets, compared with the main port in the same run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.clients import MAX_CONNECTING, PlainSocket, ProtocolSocket, client_group, socket_request
from benchmarks.fan_out import cpu_per_delivery, deliveries_in_a_burst
from benchmarks.memory import memory_per_session
from benchmarks.report import Row, alternate
from benchmarks.servers import Server, Serving, herald, second_listener
from tests.support.server import SECRET
from tests.support.unfinished_sockets import HALF_A_FRAME, KINDS, until_closed

CONNECTS: Final = 2_000
UNFINISHED: Final = 10_000

Measure = Callable[[Serving], Awaitable[float]]


async def listeners(rounds: int) -> list[Row]:
    rows: tuple[tuple[str, str, Measure, str, float], ...] = (
        ("memory of a WebSocket session", "KB", _memory, "≤", 45 / 165),
        ("burst: 100 messages to 1,000 WebSockets, one per frame", "/s", _plain_burst, "≥", 8),
        ("paced: one message every 30 ms to 1,000 WebSockets, CPU per delivery", "µs", cpu_per_delivery, "≤", 0.55),
        ("burst: 1,000 messages to 1,000 WebSockets, herald.v1", "/s", _protocol_burst, "≥", 1.5),
        ("paced, herald.v1: CPU per delivery", "µs", _protocol_paced, "≤", 0.55),
        ("connects", "/s", _connects, "≥", 1.5),
    )
    return [await _compare(rounds, *row) for row in rows]


async def _compare(rounds: int, what: str, unit: str, measure: Measure, relation: str, target: float) -> Row:
    main, second = await alternate(rounds, lambda: measure(herald()), lambda: measure(second_listener()))
    return Row(f"{what}: second listener vs main port", unit, second, main, relation, target)


async def _memory(serving: Serving) -> float:
    return await memory_per_session(serving, PlainSocket, socket_request(Server.path))


async def _plain_burst(serving: Serving) -> float:
    return await deliveries_in_a_burst(serving, 100)


async def _protocol_burst(serving: Serving) -> float:
    return await deliveries_in_a_burst(serving, 1_000, ProtocolSocket)


async def _protocol_paced(serving: Serving) -> float:
    return await cpu_per_delivery(serving, ProtocolSocket)


async def _connects(serving: Serving) -> float:
    """Returns the handshakes per second of CPU time of the server."""
    requests = [socket_request(Server.path)] * CONNECTS
    async with serving as server:
        async with client_group(server.socket_port, PlainSocket, requests[:50]):
            await asyncio.sleep(0.5)
        used = server.cpu
        async with client_group(server.socket_port, PlainSocket, requests):
            return CONNECTS / (server.cpu - used)


async def unfinished(rounds: int) -> list[Row]:
    runs = [await _unfinished() for _ in range(rounds)]
    memory, seconds = zip(*runs, strict=True)
    what = f"{UNFINISHED:,} sockets without a token that complete nothing, second listener"
    return [
        Row(f"{what}: memory", "MB", memory, None, "≤", 350, "value"),
        Row(f"{what}: until the last one is closed", "s", seconds, None, "≤", 15, "value"),
    ]


async def _unfinished() -> tuple[float, float]:
    """Returns the most memory that the server takes for the sockets, in MB, and the seconds from the first connection
    until the last one is closed."""
    settings = {
        "HERALD_AUTH": "jwt",
        "HERALD_JWT_SECRET": SECRET,
        "HERALD_PROFILE": "groups",
        "HERALD_MAX_PENDING_SOCKETS": str(UNFINISHED),
    }
    async with second_listener(**settings) as server:
        await asyncio.gather(*(until_closed(server.socket_port, HALF_A_FRAME) for _ in range(100)))
        before, most, began = server.memory, 0, time.perf_counter()
        connecting = asyncio.Semaphore(MAX_CONNECTING)
        closing = asyncio.gather(
            *(until_closed(server.socket_port, KINDS[number % 3], connecting) for number in range(UNFINISHED))
        )
        while not closing.done():
            most = max(most, server.memory - before)
            await asyncio.sleep(0.1)
        await closing
        return most / 1e6, time.perf_counter() - began
