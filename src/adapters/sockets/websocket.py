"""WebSockets: handshake, a reader and a writer for each, and exactly one close."""

import asyncio
import math
from contextlib import aclosing
from typing import Final

import msgspec
import structlog
from litestar.exceptions import WebSocketDisconnect

from adapters.sockets.connection import Connection, FrameTooLarge, Socket, log_opened, refuse_handshake
from adapters.sockets.handshake import REFUSALS, close_reason_for, connect_request_of, offered, shown_token
from adapters.sockets.send_window import SendWindow
from adapters.web.origins import Origins
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.counters import Counters
from application.hub.hub import Hub
from application.hub.opening import ReplacementSession
from application.hub.session import Session
from application.live.client_commands import ClientCommands
from application.live.endpoints import Endpoint
from application.live.open_session import ConnectRequest, OpenSession
from application.ports.clock import Clock
from application.ports.store import Store
from domain.errors import Draining, InvalidInput, TokenInvalid, TokenMissing, TooManyAnonymous, TooManyRequests
from domain.positions import tag_of
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode, CloseReason, Command, read_command

log = structlog.get_logger(__name__)

# Seconds for a writer to say its last.
LAST_WORDS: Final = 1.0

# Seconds after which another node, or the next process, will answer.
RETRY_ELSEWHERE: Final = 2


class Pending(msgspec.Struct, frozen=True):
    """The limit of sockets that are accepted and have yet to show a token in their first frame: how many there may be
    on this node, and for how many seconds each."""

    sockets: int = 1000
    seconds: float = 5.0


class Capacity(msgspec.Struct, frozen=True):
    """How many sockets there may be on this node at once: each takes a file descriptor."""

    sockets: int


class SocketGate:
    """Serves sockets, from handshake to close."""

    def __init__(
        self,
        identify: IdentifyCaller,
        open_session: OpenSession,
        limit_rate: LimitRate,
        hub: Hub,
        store: Store,
        clock: Clock,
        counters: Counters,
        origins: Origins,
        pending: Pending,
        capacity: Capacity,
    ) -> None:
        self._identify = identify
        self._open_session = open_session
        self._limit_rate = limit_rate
        self._hub = hub
        self._store = store
        self._clock = clock
        self._counters = counters
        self._origins = origins
        self._limit = pending
        self._pending = 0
        self._capacity = capacity
        self._sockets = 0

    async def serve(self, socket: Socket, endpoint: Endpoint, claimed: str | None) -> None:
        """All of a socket's life. Whatever goes wrong, the client sees a close code that tells it what to do."""
        if not self._origins.allow(socket.headers.get("origin")):
            return await refuse_handshake(
                socket, 403, "origin_refused", "Origin refused", "Pages of this origin may not connect."
            )
        if self._hub.draining:
            return await refuse_handshake(socket, 503, "draining", "Draining", Draining.text, RETRY_ELSEWHERE)
        if self._sockets >= self._capacity.sockets:
            full = "This node has as many sockets as it has file descriptors for."
            return await refuse_handshake(socket, 503, "node_full", "Node full", full, RETRY_ELSEWHERE)
        self._sockets += 1
        try:
            await self._serve(socket, endpoint, claimed)
        finally:
            self._sockets -= 1

    async def _serve(self, socket: Socket, endpoint: Endpoint, claimed: str | None) -> None:
        connection = Connection(socket, endpoint.name, self._counters)
        try:
            await self._converse(connection, endpoint, claimed)
        except (TooManyRequests, TooManyAnonymous) as refusal:
            await self._put_off(connection, refusal)
        except FrameTooLarge as fault:
            await connection.refuse(fault.close_reason)
        except REFUSALS as refusal:
            await connection.refuse(close_reason_for(refusal))
        except WebSocketDisconnect:
            connection.left()
        except Exception:
            log.exception("socket_failed", endpoint=endpoint.name)
            await connection.refuse(CloseReason(CloseCode.INTERNAL_ERROR, "something went wrong on our side"))

    async def _put_off(self, connection: Connection, refusal: TooManyRequests | TooManyAnonymous) -> None:
        """As HTTP, while that can still be said: the cheapest answer for us, and one that says how long to wait."""
        if connection.accepted:
            await connection.refuse(close_reason_for(refusal))
            return
        status, title, wait = 503, "Too many anonymous connections", RETRY_ELSEWHERE
        if isinstance(refusal, TooManyRequests):
            status, title, wait = 429, "Too many requests", max(1, math.ceil(refusal.retry_after))
        await refuse_handshake(connection.socket, status, refusal.code, title, refusal.detail, wait)

    async def _converse(self, connection: Connection, endpoint: Endpoint, claimed: str | None) -> None:
        socket = connection.socket
        token = shown_token(socket, offered(socket), cookies=self._origins.allowed is not None)
        try:
            identity = await self._identify(token, claimed)
            await self._limit_rate("connect", identity)
            request = connect_request_of(socket, endpoint, identity)
            session = await self._open_session(request)
        except (TokenMissing, TooManyAnonymous) as refusal:
            if SUBPROTOCOL not in offered(socket):
                raise
            request = await self._request_after_first_frame(connection, endpoint, claimed, refusal)
            session = await self._open_session(request)
        while (replacement := await self._run(connection, session)) is not None:
            if session.user is None:
                # Nobody has become somebody; the rate is that somebody's.
                await self._limit_rate("connect", replacement.identity)
            here = session.cursor_for(replacement.identity.user) if session.greeted else request.cursor
            request = msgspec.structs.replace(
                request, identity=replacement.identity, cursor=replacement.cursor or here, first_frame_read=True
            )
            session = await self._open_session(request)

    async def _request_after_first_frame(
        self, connection: Connection, endpoint: Endpoint, claimed: str | None, refusal: TokenMissing | TooManyAnonymous
    ) -> ConnectRequest:
        """For a client of herald.v1 to whom nothing is open without a token: its first frame may show one. Raises the
        refusal if it does not, TokenInvalid if it names `auth` and can't be read."""
        frame = await self._first_frame(connection)
        try:
            command = read_command(frame) if frame is not None else Command()
        except InvalidInput as fault:
            if fault.field == "auth":
                raise TokenInvalid(fault.detail) from None
            raise
        if command.auth is msgspec.UNSET:
            raise refusal
        identity = await self._identify(command.auth, claimed)
        await self._limit_rate("connect", identity)
        request = connect_request_of(connection.socket, endpoint, identity)
        if command.resume is None:
            return request
        asked = command.resume.asked(tag_of(identity.user))
        cursor = str(asked) if asked is not None else request.cursor
        return msgspec.structs.replace(request, cursor=cursor, first_frame_read=True)

    async def _first_frame(self, connection: Connection) -> str | bytes | None:
        """None if none came in time. Raises TooManyAnonymous."""
        if self._pending >= self._limit.sockets:
            raise TooManyAnonymous("This node waits for as many tokens in first frames as it may: try again.")
        self._pending += 1
        try:
            async with asyncio.timeout(self._limit.seconds):
                await connection.accept()
                return await connection.receive()
        except TimeoutError:
            return None
        finally:
            self._pending -= 1

    async def _run(self, connection: Connection, session: Session) -> ReplacementSession | None:
        """Serves one session until it ends; returns what is to follow it at the same socket."""
        connection.session = session
        log_opened(session)
        try:
            # Only now, with all positions set: what is published from here on reaches the client.
            await connection.accept()
            written = await self._exchange(connection, session)
            if session.close_reason is None:
                connection.left()
            elif session.replacement is None:
                await connection.close(session.close_reason)
            elif written:
                return session.replacement
            else:
                # What it was about to be sent may have arrived or not: only the client knows where to go on.
                await connection.close(CloseReason(CloseCode.TOO_SLOW, "nothing was taken for too long"))
            return None
        finally:
            # Last of all: a node that leaves waits for its sessions, and so for their close frames.
            self._hub.remove(session)

    async def _exchange(self, connection: Connection, session: Session) -> bool:
        """Reads and writes until the client leaves or the session ends; returns whether all was written that there
        was to say."""
        commands = ClientCommands(session, self._identify, self._store, self._clock) if session.view.protocol else None
        writer = asyncio.create_task(_write(connection, session))
        reader = asyncio.create_task(_read(connection, session, commands))
        session.force_close = writer.cancel
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if session.close_reason is not None:
                await asyncio.wait({writer}, timeout=LAST_WORDS)
        finally:
            # A pending receive must end before a close is sent: Granian lets neither pass the other.
            writer.cancel()
            reader.cancel()
            ends = await asyncio.gather(writer, reader, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect):
                raise end
        return ends[0] is None


async def _write(connection: Connection, session: Session) -> None:
    """The one writer of a socket. While it sleeps, the session may send past it what has just arrived."""
    window = SendWindow(connection.socket)
    session.oldest_unsent = lambda: window.oldest_unsent
    session.send_now = window.try_send
    try:
        async with aclosing(session.frames()) as frames:
            async for frame in frames:
                if window.full:
                    await window.wait_for_room()
                window.send(frame)
        await window.flush()
    finally:
        session.send_now = None


async def _read(connection: Connection, session: Session, commands: ClientCommands | None) -> None:
    """The one reader of a socket. It always waits for something: Granian answers pings only while it does."""
    while session.close_reason is None:
        try:
            frame = await connection.receive()
        except FrameTooLarge as fault:
            session.close(fault.close_reason)
            return
        if commands is not None:
            await commands(frame)
