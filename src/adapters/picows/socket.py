"""One WebSocket of picows, with the interface that SocketGate needs."""

import asyncio
from typing import Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeResponse

from adapters.picows.frames import FrameCache
from adapters.picows.incoming import Incoming
from adapters.picows.protocols import Discard, ReportingProtocol, feed
from adapters.picows.request_head import RequestHead
from adapters.picows.response import CLOSE_TIMEOUT_S, respond
from adapters.picows.send_buffer import SendBuffer, Writes
from adapters.web.refusals import HandshakeRefusal
from adapters.web.socket import ClientGone
from domain.public_url import PublicUrl

# With TLS, the write buffer of a connection may hold this many bytes before its sessions wait.
MAX_TLS_BUFFER_BYTES: Final = 16 * 1024

# Checks without anything received, after which a client is sent a ping, and after which its connection is aborted.
PING_AFTER: Final = 2
GONE_AFTER: Final = 4


class PicowsSocket(WSListener):
    """One WebSocket of the second listener (see adapters.web.socket.Socket), from the request of its handshake.

    `transport` is the connection, whose reading is paused until the handshake is answered. `rest` is what arrived after
    the request.
    """

    def __init__(
        self,
        head: RequestHead,
        rest: bytes,
        transport: asyncio.Transport,
        cache: FrameCache,
        writes: Writes,
        public_url: PublicUrl,
    ) -> None:
        self.handshake = head.handshake
        self.incoming = Incoming()
        self.paused = False  # the kernel accepts no more at the moment
        self.waiting_bytes = 0
        self._key = head.key
        self._rest = rest
        self._connection = transport
        self._websocket: WSTransport | None = None
        self._cache = cache
        self._writes = writes
        self._public_url = public_url
        self._waiting: list[bytes] = []
        self._written_bytes = 0
        self._writer: asyncio.Future[None] | None = None
        self._silent_checks = 0
        self._reading_paused = False
        self._discards = False

    # --- adapters.web.socket.Socket --------------------------------------------------------------------------------

    async def refuse(self, refusal: HandshakeRefusal) -> None:
        respond(self._connection, refusal, self._public_url)

    async def accept(self, subprotocol: str | None) -> None:
        if self._connection.is_closing():
            raise ClientGone
        headers = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else None
        protocol = ReportingProtocol(self, WSUpgradeResponse.create_101_response(headers))
        transport = self._connection
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        # Without TLS, `pause_writing` is called as soon as the kernel does not accept everything.
        is_tls = transport.get_extra_info("ssl_object") is not None
        transport.set_write_buffer_limits(high=MAX_TLS_BUFFER_BYTES if is_tls else 0)
        # picows parses and keeps a request of its own. It gets one that has only what it needs.
        head = (
            "GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {self._key}\r\n\r\n"
        )
        feed(protocol, head.encode())
        self.incoming.unfinished = 0  # this request is not part of a message
        rest, self._rest = self._rest, b""
        feed(protocol, rest)
        if not self._reading_paused and not transport.is_closing():
            transport.resume_reading()

    async def receive(self) -> str | bytes:
        message = await self.incoming.receive()
        if self._reading_paused and not self.incoming.is_full and not self._connection.is_closing():
            self._reading_paused = False
            self._connection.resume_reading()
        return message

    def transport(self) -> SendBuffer:
        self.incoming.session_opened()
        return SendBuffer(self)

    async def close(self, code: int, reason: str, last_frame: str | None) -> None:
        if self.is_gone or self._websocket is None:
            raise ClientGone
        if last_frame is not None:
            self.add_frame(last_frame)
        self.write_waiting()
        self._websocket.send_close(code, reason.encode())  # type: ignore[arg-type]  # any number is possible
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    # --- picows.WSListener -----------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._websocket = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.incoming.unfinished = frame.tail_size
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                code = frame.get_close_code()
                transport.send_close(WSCloseCode.OK if code == WSCloseCode.NO_INFO else code, frame.get_close_message())
            transport.disconnect()
            # If the client reads nothing, what is unsent would keep the connection open.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)
            self.incoming.end()
        elif kind not in (WSMsgType.PING, WSMsgType.PONG) and not self.incoming.too_large:
            self.incoming.add(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.end()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._wake_writer()

    # --- called by the protocols and the listener ------------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        return self.incoming.gone

    def arriving(self, size: int) -> None:
        self._silent_checks = 0
        self.incoming.unfinished += size

    def arrived(self) -> None:
        """Checks what has arrived: ends the reading if a message is too large, and pauses it if many messages wait."""
        incoming = self.incoming
        if incoming.gone:
            return
        if incoming.too_large or not incoming.check_size():
            if not self._discards and not self._connection.is_closing():
                self._discards = True
                self._connection.pause_reading()
                self._connection.set_protocol(Discard(self))
                self._connection.resume_reading()
        elif incoming.is_full and not self._reading_paused:
            self._reading_paused = True
            self._connection.pause_reading()

    def check_alive(self) -> None:
        """Sends a ping if nothing has arrived for PING_AFTER calls, and aborts the connection after GONE_AFTER calls. A
        plain client is sent nothing else while there are no events, so that its loss would go unnoticed."""
        if self._websocket is None:
            return
        self._silent_checks += 1
        if self._silent_checks >= GONE_AFTER:
            self.abort()
        elif self._silent_checks == PING_AFTER and not self.paused:
            self._websocket.send_ping()

    def abort(self) -> None:
        self._connection.abort()

    def end(self) -> None:
        self.incoming.end()
        self._waiting.clear()
        self.waiting_bytes = 0
        self._wake_writer()

    # --- called by SendBuffer and Writes ---------------------------------------------------------------------------

    def add_frame(self, text: str) -> None:
        frame = self._cache.frame(text)
        if not self._waiting:
            self._writes.add(self)
        self._waiting.append(frame)
        self.waiting_bytes += len(frame)

    def write_waiting(self) -> None:
        if not self._waiting or self.is_gone:
            return
        frames, self._waiting = self._waiting, []
        self._written_bytes += self.waiting_bytes
        self.waiting_bytes = 0
        self._connection.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if not self.paused:
            self._wake_writer()

    def accepted_bytes(self) -> int:
        return self._written_bytes - self._connection.get_write_buffer_size()

    async def wait_for_write(self) -> None:
        """Waits until waiting frames were written, or the kernel accepts more. Raises ClientGone."""
        if self.is_gone:
            raise ClientGone
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await self._writer
        finally:
            self._writer = None
        if self.is_gone:
            raise ClientGone

    def _wake_writer(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
