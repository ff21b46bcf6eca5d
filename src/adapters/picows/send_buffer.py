"""Sends the frames of one session over a WebSocket of picows, several of them in one write."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from adapters.web.socket import ClientGone

if TYPE_CHECKING:
    from adapters.picows.socket import PicowsSocket

# Maximum number of bytes that wait for the next write. Together with the write buffer of the connection, which is used
# only while the kernel accepts nothing, this bounds the memory for a client that never reads.
MAX_WAITING_BYTES: Final = 16 * 1024

# The number of connections that are written without a pause for other tasks: each takes up to 20 µs.
MAX_WRITES: Final = 500


class Writes:
    """The connections of this process with frames that wait to be written. All are written in the next step of the
    event loop, so that the frames which become due together leave in one write for each connection. If there are many,
    other tasks run between batches of them."""

    def __init__(self) -> None:
        self._due: deque[PicowsSocket] = deque()

    def add(self, socket: "PicowsSocket") -> None:
        if not self._due:
            asyncio.get_running_loop().call_soon(self._write)
        self._due.append(socket)

    def _write(self) -> None:
        for _ in range(min(len(self._due), MAX_WRITES)):
            self._due.popleft().write_waiting()
        if self._due:
            asyncio.get_running_loop().call_soon(self._write)


class SendBuffer:
    """The transport of one session (see adapters.web.socket.SocketTransport).

    A frame is unsent until the kernel has accepted it. `is_full` is true while the kernel accepts no more, or if more
    than MAX_WAITING_BYTES wait for the next write.
    """

    __slots__ = ("_socket",)

    def __init__(self, socket: "PicowsSocket") -> None:
        self._socket = socket

    def try_send(self, frame: str) -> bool:
        socket = self._socket
        if socket.paused or socket.is_gone or socket.waiting_bytes > MAX_WAITING_BYTES:
            return False
        socket.add_frame(frame)
        return True

    @property
    def oldest_unsent(self) -> int | None:
        """The number of bytes that the kernel has accepted; None if it has accepted all."""
        return self._socket.accepted_bytes() if self._socket.paused else None

    def force_close(self) -> None:
        self._socket.abort()

    @property
    def is_full(self) -> bool:
        return self._socket.paused or self._socket.waiting_bytes > MAX_WAITING_BYTES

    async def wait_for_room(self) -> None:
        while self.is_full:
            await self._socket.wait_for_write()

    def send(self, frame: str) -> None:
        if self._socket.is_gone:
            raise ClientGone
        self._socket.add_frame(frame)

    async def flush(self) -> None:
        while self._socket.paused or self._socket.waiting_bytes:
            await self._socket.wait_for_write()
