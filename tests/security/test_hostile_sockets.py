"""Sockets of hostile clients: each gets its documented close code, and the node keeps serving all others."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.support.clients import closed, connect, frame, publish, token, until_http
from tests.support.server import SECRET, Server

KIBIBYTE = 1024
MEBIBYTE = 1024 * 1024

TEXT, BINARY, CONTINUATION, PING = 1, 2, 0, 9

# The code that a client sees for an empty close frame (RFC 6455, section 7.1.5).
NO_CODE = 1005

USERS = "/ws/v2/notification-service/notifications/users/u"
PUBLISHER = token("publisher", scope="events:publish")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    env = {
        "DATABASE_URL": "memory:",
        "HERALD_AUTH": "jwt",
        "HERALD_JWT_SECRET": SECRET,
        "HERALD_BROKER": "memory",
        "HERALD_ORIGINS": "https://app.example",
    }
    one = Server(env, ("serve",)).start(ready=True)
    yield one
    one.kill()


@pytest.fixture(autouse=True)
async def unharmed(server: Server) -> AsyncIterator[None]:
    """Each test checks afterwards that the node answers and that a client connected all the time gets a published
    event."""
    async with connect(server.ws_url + "/ws/notifications", max_queue=None) as bystander:
        yield
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
            assert (await client.get("/health/live")).json() == {"status": "alive"}
        await publish(server, "trading_signals", "still here", token=PUBLISHER)
        async with asyncio.timeout(10):
            assert await bystander.recv() == "still here"


async def alive(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        assert (await client.get("/health/live")).status_code == 200


@asynccontextmanager
async def attacker(server: Server, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    socket = await connect(server.ws_url + path, ping_interval=None, compression=None, close_timeout=1, **options)
    try:
        yield socket
    finally:
        socket.transport.abort()


def raw(opcode: int, payload: bytes, *, last: bool = True, reserved: int = 0) -> bytes:
    """Encode a frame masked with zeros (RFC 6455, section 5.2)."""
    length = len(payload)
    head = bytes([(0x80 if last else 0) | reserved | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    else:
        head += bytes([0xFF]) + length.to_bytes(8)
    return head + bytes(4) + payload


V1: dict[str, Any] = {"subprotocols": ["herald.v1"]}
# All readers of frames: a plain session, a herald.v1 session before and after its hello, a pending socket.
READERS: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "plain": ("/ws/notifications", {}, b""),
    "herald.v1, first frame": ("/ws", V1, b""),
    "herald.v1": ("/ws", V1, raw(TEXT, b'{"resume": {}}')),
    "pending": (USERS, V1, b""),
}

NO_WEBSOCKET = {
    "invalid UTF-8": raw(TEXT, b"\xff\xfe"),
    "invalid UTF-8 across fragments": raw(TEXT, b"\xc3", last=False) + raw(CONTINUATION, b"("),
    "reserved opcode": raw(3, b"x"),
    "reserved bit": raw(TEXT, b"x", reserved=0x40),
    "not masked": b"\x81\x01x",
    "continuation of nothing": raw(CONTINUATION, b"x"),
    "control frame over 125 bytes": raw(PING, b"x" * 126),
    "frame over 16 MiB": raw(TEXT, b"x" * (17 * MEBIBYTE)),
    "length of 2**62": b"\x81\xff" + (2**62).to_bytes(8) + bytes(4) + b"x" * 1000,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", NO_WEBSOCKET)
async def test_violations_of_the_websocket_protocol_are_closed_without_a_code(
    server: Server, kind: str, reader: str
) -> None:
    path, options, first = READERS[reader]
    async with attacker(server, path, **options) as socket:
        socket.transport.write(first + NO_WEBSOCKET[kind])
        assert await closed(socket) == NO_CODE


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("reader", READERS)
async def test_a_message_over_64_kib_is_closed_with_1009(server: Server, reader: str, opcode: int) -> None:
    path, options, first = READERS[reader]
    piece = b"x" * (33 * KIBIBYTE)
    for message in (raw(opcode, b"x" * MEBIBYTE), raw(opcode, piece, last=False) + raw(CONTINUATION, piece)):
        async with attacker(server, path, **options) as socket:
            socket.transport.write(first + message)
            assert await closed(socket) == 1009


async def test_binary_commands_are_closed_with_4505(server: Server) -> None:
    for reader, count in (("herald.v1, first frame", 6), ("herald.v1", 6), ("pending", 1)):
        path, options, first = READERS[reader]
        async with attacker(server, path, **options) as socket:
            socket.transport.write(first + raw(BINARY, b"\x00\xff") * count)
            assert await closed(socket) == 4505


DEEP = {
    "open": b"[" * 60_000,
    "closed": b"[" * 30_000 + b"]" * 30_000,
    "objects": b'{"a":' * 10_000,
    "before a string that never ends": b"[" * 129 + b'"' + b'\\"' * 30_000,
    "under a key": b'{"ping":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
}


@pytest.mark.parametrize("kind", DEEP)
async def test_deep_nesting_is_an_invalid_command_and_closed_with_4505(server: Server, kind: str) -> None:
    for reader, count in (("herald.v1, first frame", 5), ("herald.v1", 5), ("pending", 1)):
        path, options, first = READERS[reader]
        async with attacker(server, path, **options) as socket:
            socket.transport.write(first + raw(TEXT, DEEP[kind]) * count)
            assert await closed(socket) == 4505


async def test_thousands_of_commands_are_closed_with_4429(server: Server) -> None:
    async with attacker(server, "/ws", **V1) as socket:
        socket.transport.write(raw(TEXT, b'{"ping": 1}') * 10_000)
        assert await closed(socket) == 4429


@pytest.mark.parametrize("reader", ["plain", "herald.v1"])
async def test_thousands_of_websocket_pings_are_answered(server: Server, reader: str) -> None:
    path, options, first = READERS[reader]
    async with attacker(server, path, **options) as socket:
        socket.transport.write(first + raw(PING, b"x" * 125) * 5_000)
        async with asyncio.timeout(30):
            await (await socket.ping())


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_endless_fragments_do_not_affect_others(server: Server, opcode: int) -> None:
    """A pending socket is closed after 5 s whatever it sends; a session may continue (docs/deploying.md)."""
    path, options, first = READERS["herald.v1"]
    async with (
        attacker(server, path, **options) as session,
        attacker(server, USERS, **V1) as pending,
    ):
        session.transport.write(first)
        assert (await frame(session))["kind"] == "hello"
        for socket in (session, pending):
            socket.transport.write(raw(opcode, b"x" * MEBIBYTE, last=False))
        for _ in range(4):
            for socket in (session, pending):
                socket.transport.write(raw(CONTINUATION, b"x" * KIBIBYTE, last=False) * 50)
            await alive(server)
        assert (await frame(pending))["code"] == 4504
        assert await closed(pending) == 4504
        # Pings between the fragments of a message are answered.
        async with asyncio.timeout(10):
            await (await session.ping())


async def test_unfinished_handshakes_do_not_affect_others(server: Server) -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    whole = head + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    writers = []
    for number in range(300):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(whole[: 1 + number * (len(whole) - 1) // 300])
        writers.append(writer)
    await alive(server)
    async with connect(f"{server.ws_url}{USERS}?jwt={token('u')}", **V1) as socket:
        await socket.send('{"resume": {}}')
        assert (await frame(socket))["kind"] == "hello"
    for writer in writers:
        writer.transport.abort()


async def test_handshakes_of_clients_that_disconnect_leak_no_connection(server: Server) -> None:
    before = (await until_http(server, "/health", lambda body: True, 10))["connections"]
    head = b"GET /ws/notifications HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    whole = head + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    for _ in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(whole)
        await writer.drain()
        writer.transport.abort()
    await until_http(server, "/health", lambda body: body["connections"] <= before, 30)


@pytest.mark.parametrize("count", [100, 5_000])
async def test_herald_v1_is_found_among_thousands_of_subprotocols(server: Server, count: int) -> None:
    names = [f"p{number}" for number in range(count)]
    async with attacker(server, "/ws", subprotocols=[*names, "herald.v1"]) as socket:
        assert socket.subprotocol == "herald.v1"
        await socket.send('{"resume": {}}')
        assert (await frame(socket))["kind"] == "hello"
    async with attacker(server, "/ws/notifications", subprotocols=names) as socket:
        assert socket.subprotocol is None


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example", "x" * 10_000, ""],
)
@pytest.mark.parametrize("reader", READERS)
async def test_a_page_of_another_origin_is_refused_with_403(server: Server, origin: str, reader: str) -> None:
    path, options, _ = READERS[reader]
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.ws_url + path, additional_headers={"Origin": origin}, **options)
    assert refused.value.response.status_code == 403
