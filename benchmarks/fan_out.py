"""Fan-out: the same messages to the same clients, by the seed's loop and by Herald.

A burst is timed from the moment its first message is posted to the moment the last client has the last one. Paced
messages are posted one by one to both servers; what counts is the processor time of the server, its work for the
requests included, by deliveries.
"""

import asyncio
import time
from typing import Final

from benchmarks.clients import PlainSocket, ProtocolSocket, crowd, socket_request, stamped
from benchmarks.pace import steadily
from benchmarks.report import Row, in_turn
from benchmarks.servers import Server, Serving, herald, seed_loop

CLIENTS: Final = 1_000
SIZE: Final = 200

# Messages sent before anything is measured, so that every path has been taken.
WARM_UP: Final = 10

PACE: Final = 0.03
PACED: Final = 200

# Seconds until clients that still lack something are given up.
PATIENCE: Final = 120.0


async def burst(rounds: int) -> list[Row]:
    reference, ours = await in_turn(rounds, lambda: _burst(seed_loop(), 100), lambda: _burst(herald(), 100))
    return [Row("burst: 100 messages to 1,000 WebSockets, one a frame", "/s", ours, reference, "≥", 1.3)]


async def burst_protocol(rounds: int) -> list[Row]:
    reference, ours = await in_turn(
        rounds, lambda: _burst(seed_loop(), 1_000), lambda: _burst(herald(), 1_000, ProtocolSocket)
    )
    return [Row("burst: 1,000 messages to 1,000 WebSockets, herald.v1", "/s", ours, reference, "≥", 15)]


async def paced(rounds: int) -> list[Row]:
    reference, ours = await in_turn(rounds, lambda: _paced(seed_loop()), lambda: _paced(herald()))
    return [Row("paced: one message every 30 ms to 1,000 WebSockets, CPU a delivery", "µs", ours, reference, "≤", 1.2)]


async def _burst(serving: Serving, messages: int, kind: type[PlainSocket] = PlainSocket) -> float:
    """Deliveries a second."""
    protocol = "herald.v1" if kind is ProtocolSocket else None
    requests = [socket_request(Server.path, protocol)] * CLIENTS
    async with serving as server, crowd(server.port, kind, requests) as clients:
        for count in (WARM_UP, messages):
            bodies = server.bodies([stamped(SIZE) for _ in range(count)])
            clients.expect(count)
            # Those of herald.v1 may be waiting to be told where to resume, for a second.
            await asyncio.sleep(1.5)
            began = time.perf_counter()
            _, ended = await asyncio.gather(server.broadcast(bodies), clients.all_received(PATIENCE))
        return CLIENTS * messages / (ended - began)


async def _paced(serving: Serving) -> float:
    """Microseconds of processor time a delivery."""
    requests = [socket_request(Server.path)] * CLIENTS
    async with serving as server, crowd(server.port, PlainSocket, requests) as clients:
        for count in (WARM_UP, PACED):
            clients.expect(count)
            used = server.cpu
            await post_paced(server, count, SIZE, PACE)
            await clients.all_received(PATIENCE)
        return (server.cpu - used) * 1e6 / (CLIENTS * PACED)


async def post_paced(server: Server, count: int, size: int, pace: float) -> None:
    """Posts messages one by one, on time if the server lets it."""
    async for _ in steadily(count, pace):
        await server.broadcast(server.bodies([stamped(size)]))
