"""One connection, from its handshake to the log line about its end."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from adapters.web.socket import MAX_FRAME_LENGTH, ClientGone, FrameTooLarge, Socket, SocketPolicy
from application.counters import Counters
from application.hub.session import Session
from application.log_context import bind_session
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode, CloseReason, bye

log = structlog.get_logger(__name__)

_SENT_TOO_MUCH: Final = frozenset({CloseCode.TOO_MANY_FRAMES, CloseCode.NOT_UNDERSTOOD, CloseCode.TOO_LARGE})

# RFC 6455, section 5.5: a control frame holds 125 bytes, two of which are the code.
_MAX_REASON_BYTES: Final = 123


class Connection:
    """A socket that is accepted at most once, closed at most once, and has its end counted and logged."""

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
        if not self.accepted:
            self.accepted = True
            await self.socket.accept(SUBPROTOCOL if self.handshake.has_protocol else None)

    async def receive(self) -> str | bytes:
        """Returns the next frame. Raises FrameTooLarge and ClientGone."""
        frame = await self.socket.receive()
        if len(frame) > MAX_FRAME_LENGTH:
            raise FrameTooLarge
        return frame

    async def refuse(self, close_reason: CloseReason) -> None:
        """Closes the connection. A client of `herald.v1` gets `bye` first, unless its session has sent it."""
        session = self.session
        has_sent_bye = session is not None and session.close_reason is not None and session.replacement is None
        await self.close(close_reason, send_bye=self.handshake.has_protocol and not has_sent_bye)

    async def close(self, close_reason: CloseReason, *, send_bye: bool = False) -> None:
        """Closes with the code. Accepts first if necessary: a browser cannot read why a handshake was refused."""
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
        if not self._ended:
            self._end(None)

    async def _discard_input(self) -> None:
        """Reads and drops what the client is still sending. The kernel resets a connection that is closed with unread
        bytes, and the client would not see the code."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._policy.max_discard_s):
                while True:
                    async with asyncio.timeout(self._policy.discard_pause_s):
                        await self.socket.receive()

    def _end(self, close_reason: CloseReason | None) -> None:
        self._ended = True
        record_end(self._counters, self._endpoint, self.session, close_reason)


def log_opened(session: Session) -> None:
    """Logs the opening, and binds the ids of session and user to all later log lines of the running task."""
    bind_session(session.id, session.user)
    log.info("session_opened", endpoint=session.endpoint)


def record_end(counters: Counters, endpoint: str, session: Session | None, close_reason: CloseReason | None) -> None:
    """Counts and logs the end of a connection, in one line. Without a close reason the client has left; without a
    session the connection was refused."""
    code = str(int(close_reason.code)) if close_reason else "client"
    counters.closes[code] += 1
    log.info(
        "session_ended",
        endpoint=endpoint,
        session_id=session.id if session else None,
        user_id=session.user if session else None,
        close_code=code,
        close_reason=close_reason.text if close_reason else "the client has left",
        delivered=session.delivered if session else 0,
    )
