"""Clients that misbehave. Each gets a response; no other client is affected."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support.clients import closed, connect, every, frame, never_reading, objects, publish, stream, until_http
from tests.support.server import Server

# The tests of this module run at both listeners for WebSockets.
LISTENERS = ("main", "second")

# More than fits into the buffers of the kernel for a client that reads nothing.
MESSAGES = 150


@asynccontextmanager
async def bystander(server: Server) -> AsyncIterator[ClientConnection]:
    """A well-behaved client that must receive its message at the end, whatever happened."""
    async with connect(server.ws_url + "/ws/notifications") as socket:
        yield socket
        await publish(server, "trading_signals", "still here")
        async with asyncio.timeout(5):
            while await socket.recv() != "still here":
                pass


async def v1(server: Server, path: str = "/ws?user_id=u") -> ClientConnection:
    socket = await connect(server.ws_url + path, subprotocols=["herald.v1"])
    await socket.send('{"resume": {}}')
    assert (await frame(socket))["kind"] == "hello"
    return socket


async def test_binary_frames(dev_server: Server) -> None:
    async with bystander(dev_server):
        socket = await v1(dev_server)
        await socket.send(b"\x00\xff")
        assert (await frame(socket))["code"] == "invalid_input"
        for _ in range(10):
            await socket.send(b"\x00")
        assert await closed(socket) == 4505
        plain = await connect(dev_server.ws_url + "/ws/notifications")
        await plain.send(b"\x00\xff")
        await publish(dev_server, "trading_signals", "after binary")
        assert await plain.recv() == "after binary"
        await plain.close()


async def test_a_message_of_17_mebibytes(dev_server: Server) -> None:
    async with bystander(dev_server):
        socket = await connect(dev_server.ws_url + "/ws/notifications")
        with suppress(ConnectionClosed):
            await socket.send("x" * (17 * 1024 * 1024))
        async with asyncio.timeout(10):
            await socket.wait_closed()


async def test_a_frame_of_a_mebibyte_is_too_large(dev_server: Server) -> None:
    async with bystander(dev_server):
        socket = await connect(dev_server.ws_url + "/ws/notifications")
        await socket.send("x" * 1024 * 1024)
        assert await closed(socket) == 1009


async def test_ten_thousand_ping_commands_are_closed_with_4429(dev_server: Server) -> None:
    async with bystander(dev_server):
        socket = await v1(dev_server)
        ping = b'{"ping": true}'
        # In one write: a client that is still sending when the server closes the connection does not receive the close
        # code.
        # A text frame, masked with zeros (RFC 6455, section 5.2).
        socket.transport.write((b"\x81" + bytes([0x80 | len(ping)]) + bytes(4) + ping) * 10_000)
        assert await closed(socket) == 4429


async def test_a_thousand_websocket_pings_are_answered(dev_server: Server) -> None:
    async with connect(dev_server.ws_url + "/ws/notifications", ping_interval=None) as socket:
        pongs = [await socket.ping(str(number)) for number in range(1000)]
        await asyncio.wait_for(asyncio.gather(*pongs), 10)


@pytest.mark.parametrize(
    "command",
    ["", "{", "[]", "{}", '{"nope": 1}', '{"resume": 5}', '{"resume": {"positions": {"inbox": -1}}}', "[" * 10_000],
)
async def test_invalid_commands_are_errors_and_repeated_ones_close_the_session(
    dev_server: Server, command: str
) -> None:
    async with bystander(dev_server):
        socket = await v1(dev_server)
        await socket.send(command)
        answer = await frame(socket)
        assert (answer["kind"], answer["code"]) == ("error", "invalid_input")
        for _ in range(4):
            await socket.send(command)
        assert await closed(socket) == 4505


async def test_a_client_that_stops_within_a_frame_still_receives(dev_server: Server) -> None:
    async with bystander(dev_server):
        reader, writer = await asyncio.open_connection("127.0.0.1", dev_server.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws/notifications HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\xfe\x01\x00abcd")  # text, masked, 256 bytes announced, 4 bytes sent
        await publish(dev_server, "trading_signals", "to half a frame")
        async with asyncio.timeout(5):
            assert b"to half a frame" in await reader.readuntil(b"to half a frame")
        writer.close()


@pytest.mark.http_only
async def test_aborted_event_streams_are_detected(dev_server: Server) -> None:
    async with httpx.AsyncClient(base_url=dev_server.url) as client:

        async def open_streams() -> int:
            return int((await client.get("/metrics")).json()["sse"]["activeConnections"])

        before = await open_streams()
        writers = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", dev_server.port)
            writer.write(b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"connection")
            writers.append(writer)
        assert await open_streams() == before + 20
        for writer in writers:
            writer.transport.abort()
        await until_http(dev_server, "/metrics", lambda body: body["sse"]["activeConnections"] <= before, 10)


@pytest.fixture
def impatient_server() -> Iterator[Server]:
    """Closes clients that stop reading after 5 s instead of 30 s."""
    env = {"HERALD_PROFILE": "signals,products", "DATABASE_URL": "memory:"}
    server = Server(env, prefix=(sys.executable, "-m", "tests.support.impatient")).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


async def test_clients_that_never_read_are_closed_and_their_memory_is_freed(impatient_server: Server) -> None:
    server = impatient_server
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    text = "x" * 100_000
    lazy = [await never_reading(server, "/ws/notifications") for _ in range(20)]
    lazy += [await never_reading(server, "/events/stream") for _ in range(5)]
    async with connect(server.ws_url + "/ws/notifications", max_queue=None) as socket, stream(server) as events:
        await events.next()
        before = process.memory_info().rss

        async def read() -> None:
            for number in range(MESSAGES):
                assert str(await socket.recv()).startswith(f"{number} ")
                while (event := (await events.next())[1]).get("type") == "heartbeat":
                    pass
                assert event["id"] == str(number)

        # Concurrently, because on a busy machine publishing takes longer than the time a client may read nothing.
        reading = asyncio.create_task(read())
        for start in range(0, MESSAGES, 10):
            numbers = range(start, start + 10)
            await publish(server, "trading_signals", *(f"{number} {text}" for number in numbers))
            await publish(server, "product-events", *({"id": str(number), "text": text} for number in numbers))
        await asyncio.wait_for(reading, 30)
        # 150 messages of 100 KB for 25 clients would be 375 MB if each client had its own copy.
        assert process.memory_info().rss - before < 150 * 1024 * 1024
        await until_http(server, "/health", lambda body: body["connections"] == 2, 45)
        metrics = await until_http(server, "/metrics", lambda body: body["sse"]["activeConnections"] == 1, 5)
        assert metrics["sessions"]["closed"]["4408"] == 25
    for writer in lazy:
        writer.close()


async def test_unknown_query_parameters_and_odd_paths(dev_server: Server) -> None:
    async with bystander(dev_server):
        async with connect(dev_server.ws_url + "/ws/notifications?v=2&cachebust=%00") as socket:
            assert await every(socket, 0.2) == []
        async with httpx.AsyncClient(base_url=dev_server.url) as client:
            for path in ("/ws", "/ws/notifications", "/nope", "/ws/v2/notification-service"):
                answer = await client.get(path)
                assert answer.status_code in (404, 405), path
                assert answer.headers["content-type"] == "application/problem+json"


async def test_herald_v1_entries_share_frames_in_a_burst(dev_server: Server) -> None:
    socket = await v1(dev_server)
    await publish(dev_server, "trading_signals", *[f"burst {number}" for number in range(500)])
    received = await objects(socket, 500)
    assert [entry["data"] for entry in received] == [f"burst {number}" for number in range(500)]
    assert [entry["seq"] for entry in received] == list(range(received[0]["seq"], received[0]["seq"] + 500))
    await socket.close()
