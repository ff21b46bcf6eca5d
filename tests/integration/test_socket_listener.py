"""The second listener for WebSockets, in the event loop of the test: connections that vanish, that send rubbish, and
that never read; its certificate."""

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not public
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from adapters.picows.incoming import MAX_BYTES_BEFORE_SESSION
from adapters.picows.listener import DEFAULT, ListenerPolicy, SocketListener
from adapters.picows.protocols import ReportingProtocol
from adapters.picows.send_buffer import MAX_WAITING_BYTES, SendBuffer
from adapters.picows.settings import SocketListenerSettings
from adapters.web.origins_and_hosts import Hosts
from adapters.web.socket import ClientGone, FrameTooLarge
from application.live.addresses import addresses
from application.routes_in_force import RoutesInForce
from domain.endpoints import Endpoint
from domain.public_url import PublicUrl
from domain.route_table import RouteTable
from tests.support.reading import until
from tests.support.service import free_port

TABLE = RouteTable((), (Endpoint(name="plain", path="/ws/plain", transport="ws"),))

ANY_HOST = Hosts()

HANDSHAKE = (
    b"GET /ws/plain HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in the event loop of the server: those of other kinds switch protocols and buffer otherwise."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        uvloop.run(test(*arguments, **named))

    return run


class EchoGate:
    """Stands for SocketGate: accepts each socket and sends back what arrives. `ends` has the reason of each end."""

    def __init__(self) -> None:
        self.sockets: list[Any] = []
        self.ends: list[str] = []
        self.has_sessions = True

    async def serve(self, socket: Any, endpoint: Endpoint, claimed: str | None) -> None:
        await socket.accept(None)
        transport = socket.transport() if self.has_sessions else SendBuffer(socket)
        self.sockets.append(socket)
        try:
            while True:
                message = await socket.receive()
                transport.send(message if isinstance(message, str) else "bytes")
                await transport.flush()
        except ClientGone:
            self.ends.append("gone")
        except FrameTooLarge as error:
            self.ends.append("too large")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    while True:
                        await socket.receive()
            await socket.close(int(error.close_reason.code), error.close_reason.text, "bye")


@asynccontextmanager
async def listening(
    gate: EchoGate, policy: ListenerPolicy = DEFAULT, hosts: Hosts = ANY_HOST, **settings: Any
) -> AsyncIterator[SocketListener]:
    listener = SocketListener(
        gate, RoutesInForce(TABLE), addresses(TABLE), hosts, PublicUrl(""),
        SocketListenerSettings(port=free_port(), **settings), "127.0.0.1", 8000, 100, policy,
    )  # fmt: skip
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


def url(listener: SocketListener, scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{listener._settings.port}/ws/plain"


async def raw(listener: SocketListener, data: bytes = HANDSHAKE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener._settings.port)
    writer.write(data)
    return reader, writer


async def head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def masked(first: int, payload: bytes, length: bytes | None = None) -> bytes:
    size = len(payload)
    encoded = length or (bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2))
    return bytes([first]) + encoded + bytes(4) + payload


@on_uvloop
async def test_a_vanished_plain_client_is_noticed_and_one_that_answers_pings_stays() -> None:
    gate = EchoGate()
    async with listening(gate, ListenerPolicy(check_interval_s=0.05)) as listener, connect(url(listener)) as alive:
        reader, writer = await raw(listener)
        assert "101" in await head(reader)
        assert await reader.readexactly(2) == b"\x89\x00"  # a ping, to which it does not answer
        assert await reader.read() == b""
        assert gate.ends == ["gone"]
        await asyncio.sleep(0.3)
        await alive.send("still here")
        assert await alive.recv() == "still here"
        writer.close()


@pytest.mark.parametrize("sent", [b"", HANDSHAKE[:40]], ids=["nothing", "half a request"])
@on_uvloop
async def test_an_unfinished_request_is_aborted(sent: bytes) -> None:
    async with listening(EchoGate(), ListenerPolicy(handshake_timeout_s=0.1)) as listener:
        reader, writer = await raw(listener, sent)
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "426 Upgrade Required"),
        (b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nxxxxx", "426 Upgrade Required"),
        (HANDSHAKE.replace(b"/ws/plain", b"/ws/nothing"), "404 Not Found"),
        (HANDSHAKE.replace(b"Host: localhost", b"Host: evil.example"), "421 Misdirected Request"),
        (b"\x16\x03\x01 rubbish\r\n\r\n", "400 Bad Request"),
        (HANDSHAKE[:-2] + b"Cookie: " + b"x" * 30_000, "431 Request Header Fields Too Large"),
    ],
)
@on_uvloop
async def test_other_requests_get_a_problem_document(data: bytes, status: str) -> None:
    async with listening(EchoGate(), hosts=Hosts(frozenset({"localhost"}))) as listener:
        reader, writer = await raw(listener, data)
        response = await head(reader)
        assert response.startswith(f"HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n")
        assert b'"code":' in await reader.read(10_000)
        writer.close()


@on_uvloop
async def test_what_arrives_with_the_request_is_read() -> None:
    async with listening(EchoGate()) as listener:
        reader, writer = await raw(listener, HANDSHAKE + masked(0x81, b"early") + masked(0x01, b"x" * 3_000))
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in await head(reader)
        assert await reader.readexactly(7) == b"\x81\x05early"
        writer.write(masked(0x80, b"y" * 3_000))
        assert (await reader.readexactly(6_004))[4:] == b"x" * 3_000 + b"y" * 3_000
        writer.close()


@on_uvloop
async def test_the_first_message_has_the_whole_limit() -> None:
    gate = EchoGate()
    gate.has_sessions = False
    async with listening(gate) as listener:
        reader, writer = await raw(listener)
        await head(reader)
        writer.write(masked(0x81, b"x" * MAX_BYTES_BEFORE_SESSION)[:-1])
        await asyncio.sleep(0.05)
        writer.write(b"x")
        assert (await reader.readexactly(4 + MAX_BYTES_BEFORE_SESSION))[4:] == b"x" * MAX_BYTES_BEFORE_SESSION
        writer.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [masked(0x81, b"x" * 30_000)] * 3,
        [masked(0x01, b"x" * 30_000)] * 1 + [masked(0x00, b"x" * 30_000)] * 3,
        [masked(0x81, b"", length=b"\xff" + (1 << 40).to_bytes(8)), *[b"x" * 30_000] * 3],
    ],
    ids=["short messages", "endless fragments", "a length that lies"],
)
@on_uvloop
async def test_a_message_that_is_too_large_is_closed_with_1009(pieces: list[bytes]) -> None:
    gate = EchoGate()
    async with listening(gate) as listener:
        reader, writer = await raw(listener)
        await head(reader)
        for piece in pieces:
            writer.write(piece)
        received = b""
        async with asyncio.timeout(5):
            while not gate.ends and len(received) < 3 * 30_000:
                received += await reader.read(1_000)
            if gate.ends:
                received += await reader.read()
        if len(pieces[0]) > 30_000 and pieces[0][0] == 0x81:
            assert gate.ends == []
        else:
            assert gate.ends == ["too large"]
            assert b"bye" in received
            assert b"\x03\xf1" in received  # 1009
        writer.close()


@on_uvloop
async def test_the_read_buffer_grows_for_a_large_frame_and_not_for_many_small_ones() -> None:
    async with listening(EchoGate()) as listener:
        sizes: list[int] = []
        get_buffer = ReportingProtocol.get_buffer

        def watched(self: Any, hint: int) -> memoryview:
            buffer = get_buffer(self, hint)
            sizes.append(len(buffer))
            return buffer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReportingProtocol, "get_buffer", watched)
            reader, writer = await raw(listener)
            await head(reader)
            writer.write(masked(0x8A, b"pong") * 100_000)
            writer.write(masked(0x81, b"small"))
            assert await reader.readexactly(7) == b"\x81\x05small"
            assert max(sizes) <= 2_304
            writer.write(masked(0x81, b"x" * 65_000))
            await reader.readexactly(65_004)
            writer.write(masked(0x8A, b"pong") * 100_000 + masked(0x81, b"after"))
            assert await reader.readexactly(7) == b"\x81\x05after"
            assert max(sizes) <= 73_728
        writer.close()


@on_uvloop
async def test_a_client_that_never_reads_costs_little_and_the_others_nothing() -> None:
    gate = EchoGate()
    async with listening(gate) as listener:
        reader, writer = await raw(listener)
        await head(reader)
        writer.write(masked(0x81, b"x"))
        assert await reader.readexactly(3) == b"\x81\x01x"
        (socket,) = gate.sockets
        transport = socket.transport()
        frame, sent = "x" * 1_000, 0
        while not transport.is_full:
            transport.send(frame)
            sent += 1
            if sent % 8 == 0:
                await asyncio.sleep(0)
            assert sent < 50_000
        assert socket.paused or socket.waiting_bytes <= MAX_WAITING_BYTES + 2_000
        await asyncio.sleep(0.01)
        assert socket.paused
        assert not transport.try_send(frame)
        assert socket._connection.get_write_buffer_size() <= MAX_WAITING_BYTES + 2_000
        before = transport.oldest_unsent
        assert before is not None

        async def read() -> None:
            while await reader.read(64 * 1024):
                pass

        reading = asyncio.create_task(read())
        async with asyncio.timeout(10):
            await transport.wait_for_room()
        assert transport.try_send("after")
        reading.cancel()
        transport.force_close()
        await until(lambda: gate.ends == ["gone"])
        with pytest.raises(ClientGone):
            transport.send("never")
        writer.close()


def certificate(folder: Path, name: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@on_uvloop
async def test_tls_and_the_reload_of_its_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "first")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def shown(listener: SocketListener) -> str:
        async with connect(url(listener, "wss"), ssl=trusting) as socket:
            await socket.send("x" * 50_000)
            assert await socket.recv() == "x" * 50_000
            der = socket.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(der).subject.rfc4514_string()

    async with listening(EchoGate(), certificate=cert, key=key) as listener:
        assert await shown(listener) == "CN=first"
        certificate(tmp_path, "second")
        listener.reload_certificate()
        assert await shown(listener) == "CN=second"
        (tmp_path / "key.pem").write_text("rubbish")
        with capture_logs() as logs:
            listener.reload_certificate()
        assert [line["event"] for line in logs] == ["certificate_reload_refused"]
        assert await shown(listener) == "CN=second"
        with pytest.raises(ValueError, match="HERALD_SOCKET_CERTIFICATE"):
            async with listening(EchoGate(), certificate=cert, key=key):
                pass


def test_the_private_class_of_picows_has_the_expected_arguments() -> None:
    """Herald makes the protocol of a connection itself, after an asynchronous handshake, which picows does not offer:
    https://github.com/tarasko/picows. A new version may change this class."""
    with pytest.raises(TypeError, match=r"15 positional arguments|takes exactly 15"):
        WSProtocol()
    assert {"connection_made", "connection_lost", "get_buffer", "buffer_updated"} <= set(dir(WSProtocol))
