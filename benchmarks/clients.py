"""Clients: thousands of WebSockets and event streams in one process.

They use little Python per frame, so that the clients are never the bottleneck: handshakes and frames are parsed by hand
(RFC 6455, section 5.2).
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

# The maximum segment size over Ethernet. On loopback it is 64 KB, with which the kernel would buffer 2.6 MB for a
# client that does not read; with this size it buffers 50 KB.
ETHERNET_SEGMENT: Final = 1400

# The receive buffer of a client that never reads.
SMALL_BUFFER: Final = 4096

# Payloads start with {"t":" and the time of their creation, in seconds, with this number of characters.
STAMP_AT: Final = 6
STAMP_WIDTH: Final = 17

# The maximum number of connections that are opened concurrently.
MAX_CONNECTING: Final = 50


def stamped(size: int) -> str:
    """Returns a payload of `size` bytes that contains the time of its creation, by a clock that all processes of the
    machine share."""
    head = f'{{"t":"{time.perf_counter():0{STAMP_WIDTH}.6f}","pad":"'
    return f'{head}{"x" * (size - len(head) - 2)}"}}'


def stamp_of(data: bytes, at: int) -> float:
    return float(data[at + STAMP_AT : at + STAMP_AT + STAMP_WIDTH])


class Progress:
    """Counts the clients of a group that have received all expected objects, and records when the last one had."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting = 0
        self.target = 0
        self.finished = asyncio.Event()
        self.finished_at = 0.0
        self.latencies: list[float] | None = None
        self.lost: list[str] = []

    def reached(self) -> None:
        self.waiting -= 1
        if self.waiting == 0:
            self.finished_at = time.perf_counter()
            self.finished.set()


class Client(asyncio.Protocol):
    """One connection. `received` is the number of objects that it has received."""

    def __init__(self, progress: Progress, request: bytes, reads: bool = True) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self.received = 0
        self._progress = progress
        self._request = request
        self._reads = reads
        self._incomplete = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._incomplete + data if self._incomplete else data
        if not self.opened.done():
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._incomplete = data
                return
            self._open(data[: data.find(b"\r\n")])
            data = data[end + 4 :]
        before = self.received
        self._incomplete = data[self._read(data) :]
        if before < self._progress.target <= self.received:
            self._progress.reached()

    def connection_lost(self, _: Exception | None) -> None:
        self._progress.lost.append("connection lost")
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("connection lost before the handshake was answered"))

    def _open(self, status: bytes) -> None:
        if b" 101 " not in status and b" 200 " not in status:
            self.opened.set_exception(ConnectionError(status.decode()))
            return
        if not self._reads:
            self.transport.pause_reading()
        self.opened.set_result(None)

    def _read(self, data: bytes) -> int:
        """Counts the complete objects in the data. Returns the offset at which an incomplete object begins."""
        raise NotImplementedError


class PlainSocket(Client):
    """A WebSocket with one object per frame."""

    def _read(self, data: bytes) -> int:
        at, end = 0, len(data)
        latencies = self._progress.latencies
        while end - at > 4:
            size = data[at + 1]
            start = at + 2
            if size == 126:
                start = at + 4
                size = data[at + 2] << 8 | data[at + 3]
            elif size == 127:
                start = at + 10
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end:
                break
            if data[at] == 0x81:
                self._count(data, start, start + size)
                if latencies is not None:
                    latencies.append(time.perf_counter() - stamp_of(data, start))
            elif data[at] == 0x89:
                # A pong, masked with zeros.
                self.transport.write(bytes((0x8A, 0x80 | size, 0, 0, 0, 0)) + data[start : start + size])
            at = start + size
        return at

    def _count(self, data: bytes, start: int, end: int) -> None:
        self.received += 1


class ProtocolSocket(PlainSocket):
    """A herald.v1 WebSocket that counts broadcasts; frames hold many objects."""

    def _count(self, data: bytes, start: int, end: int) -> None:
        self.received += data.count(b'{"kind":"broadcast"', start, end)


class InboxSocket(PlainSocket):
    """A herald.v1 WebSocket that counts notifications; frames hold many objects."""

    def _count(self, data: bytes, start: int, end: int) -> None:
        self.received += data.count(b'{"kind":"notification"', start, end)


class EventStream(Client):
    """A stream of server-sent events. HTTP chunks end between events, never within the two line ends."""

    def _read(self, data: bytes) -> int:
        self.received += data.count(b"\n\n")
        return len(data) - 1 if data.endswith(b"\n") and not data.endswith(b"\n\n") else len(data)


def socket_request(path: str, protocol: str | None = None) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def stream_request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode()


class ClientGroup:
    """Clients of one kind, which all receive the same number of objects."""

    def __init__(self, clients: Sequence[Client], progress: Progress) -> None:
        self.clients = clients
        self.progress = progress

    def expect(self, objects: int) -> None:
        """Sets the number of further objects that each client is expected to receive (see `all_received`)."""
        progress = self.progress
        if not self.clients:
            progress.finished.set()
            return
        received = {client.received for client in self.clients}
        if len(received) != 1:
            raise RuntimeError(f"clients have received different numbers of objects: {sorted(received)}")
        progress.finished.clear()
        progress.waiting = progress.size
        progress.target = received.pop() + objects

    async def all_received(self, within: float) -> float:
        """Waits until all clients have received the expected objects, at most `within` seconds. Returns the time at
        which the last one had."""
        try:
            async with asyncio.timeout(within):
                await self.progress.finished.wait()
        except TimeoutError:
            incomplete = f"{self.progress.waiting} of {self.progress.size} clients lack objects after {within:g} s"
            raise RuntimeError(f"{incomplete}; {len(self.progress.lost)} connections were lost") from None
        return self.progress.finished_at


@asynccontextmanager
async def client_group(
    port: int, kind: type[Client], requests: Sequence[bytes], *, reads: bool = True, ethernet: bool = False
) -> AsyncIterator[ClientGroup]:
    """Connects a client with each of the handshake requests. The block starts when all handshakes are answered."""
    progress = Progress(len(requests))
    clients: list[Client] = []
    try:
        for first in range(0, len(requests), MAX_CONNECTING):
            batch = [kind(progress, request, reads) for request in requests[first : first + MAX_CONNECTING]]
            clients += await asyncio.gather(*(connect(port, client, reads, ethernet) for client in batch))
        yield ClientGroup(clients, progress)
    finally:
        for client in clients:
            client.transport.abort()
        await asyncio.sleep(0.1)


async def connect(port: int, client: Client, reads: bool = True, ethernet: bool = False) -> Client:
    """Connects a client. Returns when the handshake is answered."""
    sock = socket.socket()
    sock.setblocking(False)
    if ethernet:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT)
    if not reads:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.create_connection(lambda: client, sock=sock)
    await client.opened
    return client
