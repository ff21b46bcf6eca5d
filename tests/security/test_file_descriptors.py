"""A process without free file descriptors cannot even refuse a connection, so Herald reserves some."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from adapters.http.errors.problem_catalogue import KINDS
from entrypoints.file_descriptors import share_out
from entrypoints.settings.loader import load
from tests.support.clients import connect, publish
from tests.support.server import Server

LIMIT = 200


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """A server with few file descriptors and no permission to raise the limit."""
    server = Server(prefix=("prlimit", f"--nofile={LIMIT}:{LIMIT}")).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


async def test_sockets_are_refused_before_file_descriptors_run_out(narrow: Server) -> None:
    assert "few_file_descriptors" in narrow.log
    share = share_out(LIMIT, load({}, "dev", {}), 16_384)
    address = narrow.ws_url + "/ws/notifications"
    async with AsyncExitStack() as open_sockets:
        clients = [await open_sockets.enter_async_context(connect(address)) for _ in range(share.sockets)]
        for _ in range(100):
            with pytest.raises(InvalidStatus) as refused:
                await connect(address)
            response = refused.value.response
            assert (response.status_code, response.headers["retry-after"]) == (503, str(KINDS["node_full"].retry_after))
        async with httpx.AsyncClient(base_url=narrow.url) as client:
            assert (await client.get("/health/ready")).status_code == 200
        await publish(narrow, "trading_signals", "still here")
        assert {await one.recv() for one in clients} == {"still here"}

        await clients.pop().close()
        async with asyncio.timeout(20):
            while True:
                try:
                    await open_sockets.enter_async_context(connect(address))
                    break
                except InvalidStatus:
                    await asyncio.sleep(0.02)


def test_refused_handshakes_free_their_descriptors(narrow: Server) -> None:
    assert narrow.process is not None
    process = psutil.Process(narrow.process.pid)
    before = process.num_fds()
    for _ in range(50):
        with pytest.raises(InvalidStatus):
            open_socket(narrow.ws_url + "/ws/nowhere")
    # Immediately, and not with the next garbage collection: a quiet server may have none for hours.
    deadline = time.monotonic() + 5
    while process.num_fds() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.num_fds() <= before + 2


async def test_idle_connections_use_no_cpu(narrow: Server) -> None:
    assert narrow.process is not None
    process = psutil.Process(narrow.process.pid)
    with ExitStack() as idle:
        for _ in range(LIMIT + 100):
            idle.enter_context(closing(socket.create_connection(("127.0.0.1", narrow.port), timeout=5)))
        assert process.num_fds() < LIMIT - 20
        # An accept loop without a free descriptor would spin and use a whole core.
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        await asyncio.sleep(1.5)
        used = sum(process.cpu_times()[:2]) - before
        assert used < 0.15 * (time.monotonic() - began)
    narrow.wait_for("/health/ready")


def test_the_soft_limit_is_raised_at_start_up() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = Server(prefix=("prlimit", f"--nofile=256:{hard}")).start(ready=True)
    try:
        assert server.process is not None
        with open(f"/proc/{server.process.pid}/limits") as limits:
            (line,) = [line for line in limits if line.startswith("Max open files")]
        assert line.split()[3] == line.split()[4]
    finally:
        server.kill()


def test_a_limit_too_low_for_any_client_refuses_the_start() -> None:
    server = Server(prefix=("prlimit", "--nofile=100:100"))
    server.launch()
    assert server.process is not None
    assert server.process.wait(60) == 2
    assert "raise the limit" in server.log
