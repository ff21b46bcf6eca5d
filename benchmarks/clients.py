"""The load: WebSockets and event streams by the thousand in one process, with little Python a frame, since the client
must never be what is measured. Handshake and frames are read by hand (RFC 6455, section 5.2)."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

# What a server announces as the largest segment over Ethernet. On loopback it is 64 KB, with which the kernel would
# keep 2.6 MB for a client that does not read; from this size it keeps 50 KB.
ETHERNET_SEGMENT: Final = 1400

# The receive buffer of a client that never reads.
SMALL_BUFFER: Final = 4096

# Payloads begin with {"t":" and the time they were made at, in seconds and this many characters.
STAMP_AT: Final = 6
STAMP_WIDTH: Final = 17

# Connections opened at once.
ABREAST: Final = 50


def stamped(size: int) -> str:
    """A payload of `size` bytes that says when it was made, by a clock that all processes of the machine share."""
    head = f'{{"t":"{time.perf_counter():0{STAMP_WIDTH}.6f}","pad":"'
    return f'{head}{"x" * (size - len(head) - 2)}"}}'


def stamp_of(data: bytes, at: int) -> float:
    return float(data[at + STAMP_AT : at + STAMP_AT + STAMP_WIDTH])


class Tally:
    """What a crowd has received: how many of its clients have all they should, and since when."""

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
    """One connection. `received` counts what it was sent, in objects."""

    def __init__(self, tally: Tally, request: bytes, reads: bool = True) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self.received = 0
        self._tally = tally
        self._request = request
        self._reads = reads
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self.opened.done():
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            self._open(data[: data.find(b"\r\n")])
            data = data[end + 4 :]
        before = self.received
        self._rest = data[self._read(data) :]
        if before < self._tally.target <= self.received:
            self._tally.reached()

    def connection_lost(self, _: Exception | None) -> None:
        self._tally.lost.append("connection lost")
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("connection lost before it was answered"))

    def _open(self, status: bytes) -> None:
        if b" 101 " not in status and b" 200 " not in status:
            self.opened.set_exception(ConnectionError(status.decode()))
            return
        if not self._reads:
            self.transport.pause_reading()
        self.opened.set_result(None)

    def _read(self, data: bytes) -> int:
        """Counts what is complete in the data; returns where the rest begins."""
        raise NotImplementedError


class PlainSocket(Client):
    """A WebSocket with an object a frame."""

    def _read(self, data: bytes) -> int:
        at, end = 0, len(data)
        latencies = self._tally.latencies
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
                self._take(data, start, start + size)
                if latencies is not None:
                    latencies.append(time.perf_counter() - stamp_of(data, start))
            elif data[at] == 0x89:
                # A pong masked with zeros.
                self.transport.write(bytes((0x8A, 0x80 | size, 0, 0, 0, 0)) + data[start : start + size])
            at = start + size
        return at

    def _take(self, data: bytes, start: int, end: int) -> None:
        self.received += 1


class ProtocolSocket(PlainSocket):
    """A WebSocket that speaks herald.v1, with many objects a frame."""

    def _take(self, data: bytes, start: int, end: int) -> None:
        self.received += data.count(b'{"kind":"broadcast"', start, end)


class InboxSocket(PlainSocket):
    """A WebSocket that speaks herald.v1, with many notifications a frame."""

    def _take(self, data: bytes, start: int, end: int) -> None:
        self.received += data.count(b'{"kind":"notification"', start, end)


class EventStream(Client):
    """A stream of server-sent events; the chunks of HTTP lie between them, none within the two line ends."""

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


class Crowd:
    """Clients of one kind that are all sent as many objects."""

    def __init__(self, clients: Sequence[Client], tally: Tally) -> None:
        self.clients = clients
        self.tally = tally

    def expect(self, objects: int) -> None:
        """From now on each client is to receive so many objects."""
        tally = self.tally
        if not self.clients:
            tally.finished.set()
            return
        received = {client.received for client in self.clients}
        if len(received) != 1:
            raise RuntimeError(f"clients have received different numbers of objects: {sorted(received)}")
        tally.finished.clear()
        tally.waiting = tally.size
        tally.target = received.pop() + objects

    async def all_received(self, within: float) -> float:
        """When the last client had received all of it."""
        try:
            async with asyncio.timeout(within):
                await self.tally.finished.wait()
        except TimeoutError:
            late = f"{self.tally.waiting} of {self.tally.size} clients lack objects after {within:g} s"
            raise RuntimeError(f"{late}; {len(self.tally.lost)} were cut off") from None
        return self.tally.finished_at


@asynccontextmanager
async def crowd(
    port: int, kind: type[Client], requests: Sequence[bytes], *, reads: bool = True, ethernet: bool = False
) -> AsyncIterator[Crowd]:
    """A client for each request, all of them answered."""
    tally = Tally(len(requests))
    clients: list[Client] = []
    try:
        for first in range(0, len(requests), ABREAST):
            some = [kind(tally, request, reads) for request in requests[first : first + ABREAST]]
            clients += await asyncio.gather(*(connect(port, client, reads, ethernet) for client in some))
        yield Crowd(clients, tally)
    finally:
        for client in clients:
            client.transport.abort()
        await asyncio.sleep(0.1)


async def connect(port: int, client: Client, reads: bool = True, ethernet: bool = False) -> Client:
    """Returns once the client's request has been answered."""
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
