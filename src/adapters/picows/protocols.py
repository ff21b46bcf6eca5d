"""The protocols of a connection of the second listener: that of picows, and one that discards what arrives."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not public: a test holds it

if TYPE_CHECKING:
    from adapters.picows.socket import PicowsSocket

# The initial size of the read buffer of a connection in bytes. picows doubles it when it is nearly full, and never
# makes it smaller; 2,304 bytes of it are used, and after five times 73,728: enough for a frame of 64 KB.
READ_BUFFER_BYTES: Final = 2560

# The share of the read buffer, beyond which picows doubles it, is 90 %, or all but 256 bytes.
_USABLE: Final = 0.9
_SPARE_BYTES: Final = 257

# A read of fewer bytes is not worth its cost: a frame that leaves less room needs the larger buffer.
_LEAST_READ_BYTES: Final = 512


class _NoLog:
    """The log of picows, which has a line for each connection. What operators need is logged by SocketGate."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def log(self, *_: Any, **__: Any) -> None:
        return

    debug = info = warning = error = exception = log


_NO_LOG: Final = _NoLog()


class ReportingProtocol(WSProtocol):  # type: ignore[misc]  # picows has no types for this class
    """The protocol of picows, which reports the bytes that arrive."""

    def __init__(self, socket: "PicowsSocket", response: WSUpgradeResponse) -> None:
        def listener(_: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            return WSUpgradeResponseWithListener(response, socket)

        super().__init__(
            None,  # host and port: only for clients
            None,  # path: only for clients
            False,  # is_client_side
            listener,
            _NO_LOG,
            True,  # disconnect_on_exception
            None,  # websocket_handshake_timeout: the handshake is complete
            False,  # enable_auto_ping: it has a task for each connection
            20,  # auto_ping_idle_timeout, unused
            20,  # auto_ping_reply_timeout, unused
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,  # enable_auto_pong
            1 << 40,  # max_frame_size: Incoming limits messages as they arrive
            None,  # extra_headers: only for clients
            READ_BUFFER_BYTES,
        )
        self._socket = socket

    def get_buffer(self, hint: int) -> memoryview:
        """Returns the free part of the read buffer, as far as it can be filled without making picows double the buffer.
        Otherwise a flood of small frames would make it grow without limit. A frame that needs more gets it."""
        free: memoryview = super().get_buffer(hint)
        used = self._socket.incoming.unfinished
        size = used + len(free)
        usable = min(int(size * _USABLE), size - _SPARE_BYTES) - used
        return free[:usable] if usable >= _LEAST_READ_BYTES else free

    def buffer_updated(self, nbytes: int) -> None:
        self._socket.arriving(nbytes)
        super().buffer_updated(nbytes)
        self._socket.arrived()


class Discard(asyncio.Protocol):
    """The protocol of a connection after a message that was too large: what arrives is discarded."""

    def __init__(self, socket: "PicowsSocket") -> None:
        self._socket = socket

    def data_received(self, data: bytes) -> None:
        self._socket.incoming.activity()

    def pause_writing(self) -> None:
        self._socket.pause_writing()

    def resume_writing(self) -> None:
        self._socket.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket.end()


def feed(protocol: Any, data: bytes) -> None:
    """Passes bytes to a buffered protocol as if they had arrived."""
    rest = memoryview(data)
    while rest:
        buffer = protocol.get_buffer(-1)
        size = min(len(buffer), len(rest))
        buffer[:size] = rest[:size]
        protocol.buffer_updated(size)
        rest = rest[size:]
