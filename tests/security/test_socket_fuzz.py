"""Random bytes to both listeners for WebSockets: neither crashes, hangs or keeps memory, and both answer valid input
alike."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server import Server
from tests.support.service import free_port

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PATIENCE = 15.0


@dataclass(frozen=True)
class Listeners:
    server: Server
    second_port: int

    @property
    def ports(self) -> tuple[int, int]:
        return (self.server.port, self.second_port)


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    port = free_port()
    env = {
        "DATABASE_URL": "memory:",
        "HERALD_PROFILE": "signals",
        "HERALD_CONNECT_RATE": "0",
        "HERALD_SOCKET_PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    server = Server(env).start(ready=True)
    yield Listeners(server, port)
    server.kill()


def encoded(opcode: int, payload: bytes, fin: bool = True, mask: bytes | None = bytes(4), reserved: int = 0) -> bytes:
    size = len(payload)
    flag = 0 if mask is None else 0x80
    if size < 126:
        length = bytes([flag | size])
    elif size < 1 << 16:
        length = bytes([flag | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([flag | 127]) + size.to_bytes(8, "big")
    sent = payload if mask is None else mask + bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | reserved << 4 | opcode]) + length + sent


MASKS = st.binary(min_size=4, max_size=4)
FRAMES = st.builds(
    encoded,
    st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3, 11]),
    st.binary(max_size=200) | st.text(max_size=60).map(str.encode),
    st.booleans(),
    st.none() | MASKS,
    st.sampled_from([0, 0, 0, 4, 7]),
)
# A frame that announces another length than it has.
LIES = st.builds(
    lambda head, size: bytes([head, 0xFF]) + size.to_bytes(8, "big") + b"xxxxrest",
    st.sampled_from([0x81, 0x01, 0x82]),
    st.sampled_from([0, 5, 70_000, 1 << 40, (1 << 64) - 1]),
)
RUBBISH = st.lists(FRAMES | LIES | st.binary(max_size=60), max_size=12).map(b"".join)


async def opened(port: int, protocol: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    offered = "Sec-WebSocket-Protocol: herald.v1\r\n" if protocol else ""
    writer.write(
        f"GET /ws/notifications HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{offered}"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def send_rubbish(port: int, protocol: bool, data: bytes) -> None:
    """Sends the bytes and the end of the stream. The server must end the connection."""
    reader, writer = await opened(port, protocol)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionResetError:
            pass
    writer.transport.abort()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=RUBBISH, protocol=st.booleans())
def test_rubbish_ends_the_connection_and_nothing_else(listeners: Listeners, data: bytes, protocol: bool) -> None:
    async def main() -> None:
        await asyncio.gather(*(send_rubbish(port, protocol, data) for port in listeners.ports))

    asyncio.run(main())


async def test_afterwards_both_serve_and_no_memory_is_kept(listeners: Listeners) -> None:
    server = listeners.server
    assert server.process is not None
    process = psutil.Process(server.process.pid)

    async def flood() -> None:
        for port in listeners.ports:
            await asyncio.gather(
                *(send_rubbish(port, True, encoded(TEXT, b"x" * 60_000, fin=False)) for _ in range(50))
            )

    await flood()
    before = process.memory_info().rss
    await flood()
    assert process.memory_info().rss - before < 10 * 1024 * 1024
    async with httpx.AsyncClient(base_url=server.url) as client:
        async with asyncio.timeout(PATIENCE):
            while (await client.get("/health")).json()["connections"]:
                await asyncio.sleep(0.05)
    assert "Traceback" not in server.log
    assert "socket_failed" not in server.log


# --- valid input -----------------------------------------------------------------------------------------------------

# Too few to be closed for sending too much, or too much that is not understood.
COMMANDS = st.lists(
    st.tuples(
        st.integers(0, 9).map(lambda number: b'{"ping": %d}' % number)
        | st.sampled_from([b"[1]", b'{"x": "\xc3\xa9"}']),
        st.lists(st.integers(0, 20), max_size=3),
        MASKS,
        st.lists(st.binary(max_size=125), max_size=2),
    ),
    max_size=3,
)


def fragmented(command: bytes, cuts: list[int], mask: bytes, pings: list[bytes]) -> bytes:
    """Returns a message, divided at these places, with pings between its fragments."""
    places = sorted({cut % (len(command) + 1) for cut in cuts})
    parts = [command[begin:end] for begin, end in zip([0, *places], [*places, len(command)], strict=True)]
    frames = []
    for number, part in enumerate(parts):
        frames.append(encoded(CONTINUATION if number else TEXT, part, number == len(parts) - 1, mask))
        frames += [encoded(PING, ping, True, mask) for ping in pings[number : number + 1]]
    return b"".join(frames)


class Answers:
    """What the server has sent, by opcode: texts as lines, without the session's first."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.texts: list[bytes] = []
        self.controls: list[tuple[int, bytes]] = []
        self._reader = reader

    async def until(self, last: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                first, size = await self._reader.readexactly(2)
                if size == 126:
                    size = int.from_bytes(await self._reader.readexactly(2), "big")
                payload = await self._reader.readexactly(size)
                if first == 0x81:
                    self.texts += [line for line in payload.split(b"\n") if b'"hello"' not in line]
                else:
                    self.controls.append((first & 0x0F, payload))
                if last in payload:
                    return


async def answers_of(port: int, sent: bytes) -> Answers:
    reader, writer = await opened(port, True)
    answers = Answers(reader)
    writer.write(encoded(TEXT, b'{"resume": {}}') + sent + encoded(TEXT, b'{"ping": "last"}'))
    await answers.until(b'"last"')
    writer.write(encoded(PING, b"the end"))
    await answers.until(b"the end")
    writer.write(encoded(CLOSE, b"\x03\xe8bye"))
    await answers.until(b"\x03\xe8")
    writer.close()
    return answers


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=COMMANDS)
def test_both_answer_valid_input_alike(listeners: Listeners, commands: list[Any]) -> None:
    sent = b"".join(fragmented(*command) for command in commands)

    async def main() -> list[Answers]:
        return await asyncio.gather(*(answers_of(port, sent) for port in listeners.ports))

    main_port, second = asyncio.run(main())
    assert main_port.texts == second.texts
    assert main_port.controls == second.controls
