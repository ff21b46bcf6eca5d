"""Sockets without a token that never complete what they send: at the second listener they cost little, and end in
time. `task bench -- unfinished` opens 10,000 of them."""

import asyncio
from collections.abc import Iterator

import psutil
import pytest

from tests.support.server import SECRET, Server
from tests.support.service import free_port
from tests.support.unfinished_sockets import KINDS, until_closed

SOCKETS = 300
KILOBYTE = 1_000


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
