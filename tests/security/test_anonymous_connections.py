"""Connections without a token are limited, and the limits never refuse a caller with a token."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from adapters.http.errors.problem_catalogue import KINDS
from tests.support.clients import closed, connect, every, frame, stream, token, until_http
from tests.support.server import SECRET, Server

USERS = "/ws/v2/notification-service/notifications/users"
PENDING = 3
ENV = {
    "DATABASE_URL": "memory:",
    "HERALD_AUTH": "jwt",
    "HERALD_BROKER": "memory",
    "HERALD_JWT_SECRET": SECRET,
    "HERALD_MAX_PENDING_SOCKETS": str(PENDING),
    "HERALD_MAX_ANONYMOUS_SESSIONS": "2",
}
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests, each of which closes its connections."""
    server = Server(ENV, ("serve",)).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


async def refused(address: str, **options: Any) -> None:
    """Assert that the handshake is refused with 503 and the problem document of the catalogue."""
    with pytest.raises(InvalidStatus) as refusal:
        await connect(address, **options)
    answer = refusal.value.response
    kind = KINDS["too_many_anonymous"]
    body = json.loads(answer.body or b"")
    assert (answer.status_code, body["code"], body["title"]) == (kind.status, kind.code, kind.title)
    assert answer.headers["retry-after"] == str(kind.retry_after)


async def test_pending_sockets_are_limited_and_closed_after_5_s(server: Server) -> None:
    address = f"{server.ws_url}{USERS}/ada"
    pending = [await connect(address, subprotocols=["herald.v1"]) for _ in range(PENDING)]
    await refused(address, subprotocols=["herald.v1"])
    # A socket with a token in its handshake is not pending.
    async with connect(f"{address}?jwt={token('ada')}") as socket:
        assert await every(socket, 0.1) == []
    # A socket that sends its token is no longer pending and frees its slot.
    await pending[0].send(json.dumps({"auth": token("ada"), "resume": {}}))
    assert (await frame(pending[0]))["kind"] == "hello"
    pending.append(await connect(address, subprotocols=["herald.v1"]))
    await refused(address, subprotocols=["herald.v1"])
    for socket in pending[1:]:
        assert (await frame(socket))["code"] == 4504
        assert await closed(socket) == 4504
    # A socket that closes frees its slot too.
    for _ in range(2 * PENDING):
        async with connect(address, subprotocols=["herald.v1"]):
            pass
    last = await connect(address, subprotocols=["herald.v1"])
    await last.close()
    await pending[0].close()


async def test_sessions_without_a_user_are_limited_and_users_are_not(server: Server) -> None:
    address = server.ws_url + "/ws/notifications"
    async with connect(address) as one, stream(server) as events:
        await events.next()
        await refused(address)
        async with httpx.AsyncClient(base_url=server.url) as client:
            answer = await client.get("/events/stream")
            assert (answer.status_code, answer.json()["code"]) == (503, "too_many_anonymous")
            assert answer.headers["retry-after"] == str(KINDS["too_many_anonymous"].retry_after)
        async with connect(f"{address}?jwt={token('ada')}") as socket:
            assert await every(socket, 0.1) == []
        # A herald.v1 client is identified by its first frame, so its handshake is accepted.
        async with connect(address, subprotocols=["herald.v1"]) as socket:
            await socket.send(json.dumps({"auth": token("ada"), "resume": {}}))
            assert (await frame(socket))["kind"] == "hello"
        async with connect(address, subprotocols=["herald.v1"]) as socket:
            await socket.send('{"resume": {}}')
            assert (await frame(socket))["code"] == 1013
            assert await closed(socket) == 1013
        await one.close()
        await until_http(server, "/health", lambda body: body["connections"] == 1, 10)
        async with connect(address) as socket:
            assert await every(socket, 0.1) == []


async def begin(address: str, size: int) -> ClientConnection:
    """Open a socket and send that many bytes of a message without ending it."""
    socket = await connect(address, subprotocols=["herald.v1"], ping_interval=None, close_timeout=1)
    fragment = bytes(4) + b"x" * MEBIBYTE
    for number in range(size // MEBIBYTE):
        head = bytes([0x01 if number == 0 else 0x00, 0xFF]) + MEBIBYTE.to_bytes(8)
        socket.transport.write(head + fragment)
        while socket.transport.get_write_buffer_size():
            await asyncio.sleep(0.01)
    return socket


async def test_memory_of_unfinished_messages_is_freed_when_pending_sockets_are_closed(server: Server) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    sockets = [await begin(f"{server.ws_url}{USERS}/ada", 16 * MEBIBYTE) for _ in range(PENDING)]
    assert process.memory_info().rss > before + 24 * MEBIBYTE
    for socket in sockets:
        assert await closed(socket, 30) == 4504
    async with asyncio.timeout(30):
        while process.memory_info().rss > before + 16 * MEBIBYTE:
            await asyncio.sleep(0.02)
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        assert (await client.get("/health/live")).status_code == 200
