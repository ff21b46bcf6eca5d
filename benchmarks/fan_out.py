"""Fan-out: the reference loop and Herald send the same messages to the same clients.

A burst is timed from posting its first message until the last client has the last one. Paced messages are posted one by
one; the result is the CPU time of the server per delivery, including its work for the requests.
"""

import asyncio
import time
from typing import Final

from benchmarks.clients import (
    Client,
    EventStream,
    PlainSocket,
    ProtocolSocket,
    client_group,
    socket_request,
    stamped,
    stream_request,
)
from benchmarks.pace import at_intervals
from benchmarks.report import Row, alternate
from benchmarks.servers import Server, Serving, herald, reference_loop

CLIENTS: Final = 1_000
MESSAGE_BYTES: Final = 200

# The number of messages before the measurement, so that all code has run once.
WARM_UP: Final = 10

INTERVAL_S: Final = 0.03
PACED_MESSAGES: Final = 200

# The time in seconds after which a client that has not received everything fails the benchmark.
TIMEOUT_S: Final = 120.0


async def burst(rounds: int) -> list[Row]:
    reference, ours = await alternate(
        rounds, lambda: deliveries_in_a_burst(reference_loop(), 100), lambda: deliveries_in_a_burst(herald(), 100)
    )
    return [Row("burst: 100 messages to 1,000 WebSockets, one per frame", "/s", ours, reference, "≥", 1.3)]


async def burst_protocol(rounds: int) -> list[Row]:
    reference, ours = await alternate(
        rounds,
        lambda: deliveries_in_a_burst(reference_loop(), 1_000),
        lambda: deliveries_in_a_burst(herald(), 1_000, ProtocolSocket),
    )
    return [Row("burst: 1,000 messages to 1,000 WebSockets, herald.v1", "/s", ours, reference, "≥", 15)]


async def paced(rounds: int) -> list[Row]:
    reference, ours = await alternate(
        rounds, lambda: cpu_per_delivery(reference_loop()), lambda: cpu_per_delivery(herald())
    )
    return [
        Row("paced: one message every 30 ms to 1,000 WebSockets, CPU per delivery", "µs", ours, reference, "≤", 1.2)
    ]


async def paced_streams(rounds: int) -> list[Row]:
    sockets, streams = await alternate(
        rounds, lambda: cpu_per_delivery(herald(), ProtocolSocket), lambda: cpu_per_delivery(herald(), EventStream)
    )
    what = "paced: one message every 30 ms to 1,000 event streams, vs 1,000 herald.v1 WebSockets: CPU per delivery"
    return [Row(what, "µs", streams, sockets, "≤", 17 / 16.5)]


async def deliveries_in_a_burst(serving: Serving, messages: int, kind: type[PlainSocket] = PlainSocket) -> float:
    """Returns the deliveries per second of a burst."""
    protocol = "herald.v1" if kind is ProtocolSocket else None
    requests = [socket_request(Server.path, protocol)] * CLIENTS
    async with serving as server, client_group(server.socket_port, kind, requests) as clients:
        for count in (WARM_UP, messages):
            bodies = server.bodies([stamped(MESSAGE_BYTES) for _ in range(count)])
            clients.expect(count)
            # The server waits up to 1 s for the first frame of each herald.v1 client.
            await asyncio.sleep(1.5)
            began = time.perf_counter()
            _, ended = await asyncio.gather(server.broadcast(bodies), clients.all_received(TIMEOUT_S))
        return CLIENTS * messages / (ended - began)


async def cpu_per_delivery(serving: Serving, kind: type[Client] = PlainSocket) -> float:
    """Returns the microseconds of the server's CPU time per delivery."""
    request = socket_request(Server.path, "herald.v1" if kind is ProtocolSocket else None)
    if kind is EventStream:
        request = stream_request("/events/stream")
    async with serving as server, client_group(server.socket_port, kind, [request] * CLIENTS) as clients:
        # The server waits up to 1 s for the first frame of each herald.v1 client.
        await asyncio.sleep(1.5)
        for count in (WARM_UP, PACED_MESSAGES):
            clients.expect(count)
            used = server.cpu
            await post_paced(server, count, MESSAGE_BYTES, INTERVAL_S)
            await clients.all_received(TIMEOUT_S)
        return (server.cpu - used) * 1e6 / (CLIENTS * PACED_MESSAGES)


async def post_paced(server: Server, count: int, size: int, pace: float) -> None:
    """Posts messages one by one, one every `pace` seconds, or as fast as the server answers if it is slower."""
    async for _ in at_intervals(count, pace):
        await server.broadcast(server.bodies([stamped(size)]))
