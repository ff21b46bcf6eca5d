"""Sockets without a token that never complete what they send: at the second listener they cost little, and end in
time. `task bench -- unfinished` opens 10,000 of them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import nullcontext

import psutil
import pytest

from tests.support.server import SECRET, Server
from tests.support.service import free_port

SOCKETS = 300
KILOBYTE = 1_000

# The endpoint has no public feed, so that the client has to send a token.
LINE = b"GET /ws/v2/notification-service/notifications/users/u HTTP/1.1\r\nHost: localhost\r\n"
HEAD = LINE + (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: herald.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FILLING = b"x" * 15_000


def frame(first: int, announced: int, payload: bytes) -> bytes:
    return bytes([first, 0xFE]) + announced.to_bytes(2, "big") + bytes(4) + payload


HALF_A_HANDSHAKE = LINE + b"Cookie: " + FILLING
HALF_A_FRAME = HEAD + frame(0x81, 16_000, FILLING)
ENDLESS_FRAGMENTS = HEAD + frame(0x01, 5_000, FILLING[:5_000]) + 2 * frame(0x00, 5_000, FILLING[:5_000])
KINDS = (HALF_A_HANDSHAKE, HALF_A_FRAME, ENDLESS_FRAGMENTS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    env = {
        "DATABASE_URL": "memory:",
        "HERALD_AUTH": "jwt",
        "HERALD_JWT_SECRET": SECRET,
        "HERALD_BROKER": "memory",
        "HERALD_SOCKET_PORT": str(free_port()),
        "LOG_LEVEL": "WARNING",
    }
    server = Server(env, ("serve",)).start(ready=True)
    server.socket_port = int(env["HERALD_SOCKET_PORT"])
    yield server
    server.kill()


async def until_closed(port: int, data: bytes, connecting: asyncio.Semaphore | None = None) -> float:
    """Sends the data and waits until the server closes the connection. Returns the seconds until then. `connecting`
    limits the number of connections that are opened concurrently."""
    async with connecting or nullcontext():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(data)
    async with asyncio.timeout(60):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionResetError:
            pass
    writer.close()
    return time.monotonic() - began


async def test_they_cost_35_kb_each_and_are_gone_after_5_s(server: Server) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    await asyncio.gather(*(until_closed(server.socket_port, b"rubbish\r\n\r\n") for _ in range(50)))
    before = process.memory_info().rss
    closing = asyncio.gather(*(until_closed(server.socket_port, KINDS[number % 3]) for number in range(SOCKETS)))
    most = 0
    while not closing.done():
        most = max(most, process.memory_info().rss - before)
        await asyncio.sleep(0.1)
    seconds = await closing
    assert most / SOCKETS < 35 * KILOBYTE
    assert min(seconds) > 4
    assert max(seconds) < 9
