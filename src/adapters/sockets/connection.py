"""One WebSocket as Granian and Litestar give it, with its sharp edges covered."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from adapters.sockets.handshake import offered
from application.counters import Counters
from application.hub.session import Session
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode, CloseReason, bye

log = structlog.get_logger(__name__)

Socket = WebSocket[Any, Any, Any]

# Seconds for a close to be sent: to a peer that takes nothing it never is.
CLOSE_PATIENCE: Final = 1.0

# Seconds without a frame after which a client that sent too much is taken to have stopped, and seconds after which it
# is closed though it has not.
QUIET: Final = 0.1
HEARD_ENOUGH: Final = 3.0

_SENT_TOO_MUCH: Final = frozenset({CloseCode.TOO_MANY_FRAMES, CloseCode.NOT_UNDERSTOOD, CloseCode.TOO_LARGE})

# Characters of a text frame from a client, bytes of a binary one. A client has little to say, a token at most.
LONGEST_FRAME: Final = 64 * 1024

# RFC 6455, section 5.5: a control frame holds 125 bytes, two of which are the code.
LONGEST_REASON: Final = 123


class FrameTooLarge(Exception):
    """A client has sent a frame of more than LONGEST_FRAME characters or bytes."""

    close_reason: Final = CloseReason(CloseCode.TOO_LARGE, f"a frame may have {LONGEST_FRAME} characters at most")


class Connection:
    """A socket that is accepted at most once, closed at most once, and says in the log how it ended."""

    def __init__(self, socket: Socket, endpoint: str, counters: Counters) -> None:
        self.socket = socket
        self.session: Session | None = None
        self._endpoint = endpoint
        self._counters = counters
        self._has_protocol = SUBPROTOCOL in offered(socket)
        self._accepted = False
        self._ended = False

    async def accept(self) -> None:
        if not self._accepted:
            self._accepted = True
            await self.socket.accept(subprotocols=SUBPROTOCOL if self._has_protocol else None)

    @property
    def accepted(self) -> bool:
        return self._accepted

    async def receive(self) -> str | bytes:
        """The next frame: text, or bytes if it is binary. Raises FrameTooLarge and WebSocketDisconnect."""
        frame = await self._receive()
        if len(frame) > LONGEST_FRAME:
            raise FrameTooLarge
        return frame

    async def _receive(self) -> str | bytes:
        event: Any = await self.socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="the client has left", code=event.get("code") or 1005)
        text: str | None = event.get("text")
        return text if text is not None else event.get("bytes") or b""

    async def refuse(self, close_reason: CloseReason) -> None:
        """Closes where no session says why: a client of herald.v1 is sent `bye` first."""
        session = self.session
        has_said = session is not None and session.close_reason is not None and session.replacement is None
        await self.close(close_reason, say_bye=self._has_protocol and not has_said)

    async def close(self, close_reason: CloseReason, *, say_bye: bool = False) -> None:
        """Closes with the code; accepts first where need be, since a browser can't read why a handshake failed."""
        if self._ended:
            return
        self._end(close_reason)
        reason = close_reason.text.encode()[:LONGEST_REASON].decode(errors="ignore")
        with suppress(TimeoutError, WebSocketDisconnect):
            if close_reason.code in _SENT_TOO_MUCH:
                await self._hear_out()
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self.accept()
                if say_bye:
                    await self.socket.send_text(bye(close_reason))
                await self.socket.close(code=int(close_reason.code), reason=reason)

    async def _hear_out(self) -> None:
        """Reads and drops what the client is still sending. A connection that is closed with bytes unread is reset by
        the kernel, and its client never sees the code."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_ENOUGH):
                while True:
                    async with asyncio.timeout(QUIET):
                        await self._receive()

    def left(self) -> None:
        """The client has gone by itself."""
        if not self._ended:
            self._end(None)

    def _end(self, close_reason: CloseReason | None) -> None:
        self._ended = True
        record_end(self._counters, self._endpoint, self.session, close_reason)


def log_opened(session: Session) -> None:
    log.info("session_opened", endpoint=session.endpoint, session_id=session.id, user_id=session.user)


def record_end(counters: Counters, endpoint: str, session: Session | None, close_reason: CloseReason | None) -> None:
    """Counts the end of a connection and says it in the log, in one line. Without a close_reason the client has left by
    itself; without a session it was never let in."""
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


async def refuse_handshake(
    socket: Socket, status: int, code: str, title: str, detail: str, retry_after: int | None = None
) -> None:
    """Answers a handshake with an HTTP status and problem+json, by the ASGI extension `websocket.http.response`.
    `retry_after` is in seconds."""
    await socket.receive()
    address = socket.app.state.public_url.of(f"/problems/{code}")
    problem = {"type": address, "title": title, "status": status, "code": code, "detail": detail}
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    send: Any = socket.send
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
