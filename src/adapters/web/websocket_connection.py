"""One WebSocket connection: accepting, receiving, closing, and the log lines about its beginning and end."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from adapters.web.socket import MAX_FRAME_LENGTH, ClientGone, FrameTooLarge, Socket, SocketPolicy
from application.counters import Counters
from application.hub.session import Session
from application.hub.session_request import Listener
from application.log_context import bind_session
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode, CloseReason, bye

log = structlog.get_logger(__name__)

_SENT_TOO_MUCH: Final = frozenset({CloseCode.TOO_MANY_FRAMES, CloseCode.NOT_UNDERSTOOD, CloseCode.TOO_LARGE})

# Maximum size of the reason in a close frame. RFC 6455, section 5.5: a control frame has at most 125 bytes, of which
# two are the close code.
_MAX_REASON_BYTES: Final = 123


class Connection:
    """One WebSocket connection and its current session; SocketGate uses it. Repeated calls of `accept`, `close` and
    `client_left` are safe: the socket is accepted and closed at most once, and its end is counted and logged once."""

    def __init__(self, socket: Socket, endpoint: str, counters: Counters, policy: SocketPolicy) -> None:
        self.socket = socket
        self.handshake = socket.handshake
        self.session: Session | None = None
        self.accepted = False
        self._endpoint = endpoint
        self._counters = counters
        self._policy = policy
        self._ended = False

    async def accept(self) -> None:
        """Accepts the handshake, with the subprotocol `herald.v1` if the client offers it. Does nothing if the
        handshake is accepted already."""
        if not self.accepted:
            self.accepted = True
            await self.socket.accept(SUBPROTOCOL if self.handshake.has_protocol else None)

    async def receive(self) -> str | bytes:
        """Waits for the next frame from the client and returns it: a text frame as str, a binary frame as bytes. Raises
        FrameTooLarge, and ClientGone if the connection has ended."""
        frame = await self.socket.receive()
        if len(frame) > MAX_FRAME_LENGTH:
            raise FrameTooLarge
        return frame

    async def refuse(self, close_reason: CloseReason) -> None:
        """Closes the connection after an error, as `close` does. A client of `herald.v1` receives `bye` before the
        close frame, unless its session has already sent `bye`."""
        session = self.session
        has_sent_bye = session is not None and session.close_reason is not None and session.replacement is None
        await self.close(close_reason, send_bye=self.handshake.has_protocol and not has_sent_bye)

    async def close(self, close_reason: CloseReason, *, send_bye: bool = False) -> None:
        """Closes the connection with the close code and the text of `close_reason`; with `send_bye`, sends `bye` first.
        Accepts the handshake first if it is not accepted yet. Does nothing if the connection has ended. Takes at most
        `close_timeout_s`, and longer only if the client has sent too much (see `_discard_input`)."""
        # A page in a browser can read a close code, but not the response to a handshake that was refused.
        if self._ended:
            return
        self._end(close_reason)
        reason = close_reason.text.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        with suppress(TimeoutError, ClientGone):
            if close_reason.code in _SENT_TOO_MUCH:
                await self._discard_input()
            async with asyncio.timeout(self._policy.close_timeout_s):
                await self.accept()
                await self.socket.close(int(close_reason.code), reason, bye(close_reason) if send_bye else None)

    def client_left(self) -> None:
        """Counts and logs the end of a connection that the client has ended. Does nothing if the end is logged
        already."""
        if not self._ended:
            self._end(None)

    async def _discard_input(self) -> None:
        """Reads and discards what the client is still sending, so that the client receives the close code. Ends when
        the client has sent nothing for `discard_pause_s`, or after `max_discard_s`."""
        # If a connection is closed while it has unread bytes, the kernel resets it, and the close frame may be lost.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._policy.max_discard_s):
                while True:
                    async with asyncio.timeout(self._policy.discard_pause_s):
                        await self.socket.receive()

    def _end(self, close_reason: CloseReason | None) -> None:
        self._ended = True
        record_end(self._counters, self._endpoint, self.handshake.listener, self.session, close_reason)


def log_opened(session: Session) -> None:
    """Logs that the session was opened. From then on, all log lines of the running task contain the ids of the session
    and of its user."""
    bind_session(session.id, session.user)
    log.info("session_opened", endpoint=session.endpoint)


def record_end(
    counters: Counters, endpoint: str, listener: Listener, session: Session | None, close_reason: CloseReason | None
) -> None:
    """Counts and logs the end of a WebSocket or an event stream. `close_reason` is None if the client has ended the
    connection. `session` is None if no session was opened."""
    code = str(int(close_reason.code)) if close_reason else "client"
    counters.closes[code, listener] += 1
    log.info(
        "session_ended",
        endpoint=endpoint,
        session_id=session.id if session else None,
        user_id=session.user if session else None,
        close_code=code,
        close_reason=close_reason.text if close_reason else "the client has left",
        delivered=session.delivered if session else 0,
    )
