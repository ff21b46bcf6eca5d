"""Serves WebSockets from handshake to close, independent of the web framework."""

import asyncio
from contextlib import aclosing

import msgspec
import structlog

from adapters.web import refusals
from adapters.web.origins_and_hosts import Origins
from adapters.web.socket import ClientGone, FrameTooLarge, Socket, SocketPolicy
from adapters.web.websocket_connection import Connection, log_opened
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.counters import Counters
from application.hub.hub import Hub
from application.hub.session import Session
from application.hub.session_request import ConnectRequest, ReplacementSession
from application.live.followable_streams import FollowableStreams
from application.live.open_session import OpenSession
from application.live.session_commands import ClientCommands
from application.ports.clock import Clock
from application.ports.store import Store
from domain.caller_errors import InvalidInput, TokenInvalid, TokenMissing, TooManyAnonymous, TooManyRequests
from domain.endpoints import Endpoint
from domain.positions import tag_of
from domain.protocol.commands import Command, read_command
from domain.protocol.herald_v1 import CloseCode, CloseReason

log = structlog.get_logger(__name__)


class SocketGate:
    """Serves the WebSockets of this node: checks origin and limits, identifies the caller, opens a session, and
    exchanges frames with the client until the connection ends. A WebSocket adapter calls `serve` for each handshake.

    If one of these steps fails, refuses the handshake or closes the socket. The close code says whether the client
    should reconnect (docs/protocol.md).
    """

    def __init__(
        self,
        identify: IdentifyCaller,
        open_session: OpenSession,
        streams: FollowableStreams,
        limit_rate: LimitRate,
        hub: Hub,
        store: Store,
        clock: Clock,
        counters: Counters,
        origins: Origins,
        policy: SocketPolicy,
    ) -> None:
        self._identify = identify
        self._open_session = open_session
        self._streams = streams
        self._limit_rate = limit_rate
        self._hub = hub
        self._store = store
        self._clock = clock
        self._counters = counters
        self._origins = origins
        self._policy = policy
        self._sockets = 0
        self._unauthenticated = 0

    async def serve(self, socket: Socket, endpoint: Endpoint, claimed: str | None) -> None:
        """Serves one WebSocket from its handshake to its end. `claimed` is the user id in the URL; None if the URL has
        none."""
        if not self._origins.allow(socket.handshake.origin):
            return await socket.refuse(refusals.ORIGIN_REFUSED)
        if self._hub.draining:
            return await socket.refuse(refusals.DRAINING)
        if self._sockets >= self._policy.max_sockets:
            return await socket.refuse(refusals.NODE_FULL)
        self._sockets += 1
        try:
            await self._serve(Connection(socket, endpoint.name, self._counters, self._policy), endpoint, claimed)
        finally:
            self._sockets -= 1

    async def _serve(self, connection: Connection, endpoint: Endpoint, claimed: str | None) -> None:
        try:
            await self._run_sessions(connection, endpoint, claimed)
        except (TooManyRequests, TooManyAnonymous) as error:
            if connection.accepted:
                await connection.refuse(refusals.close_reason_for(error))
            else:
                await connection.socket.refuse(refusals.too_many(error))
        except FrameTooLarge as error:
            await connection.refuse(error.close_reason)
        except refusals.CLOSING_ERRORS as error:
            await connection.refuse(refusals.close_reason_for(error))
        except ClientGone:
            connection.client_left()
        except Exception as error:
            if connection.session is not None:
                connection.session.fail(error)
            else:
                log.exception("socket_failed", endpoint=endpoint.name)
            await connection.refuse(CloseReason(CloseCode.INTERNAL_ERROR, "internal error"))

    async def _run_sessions(self, connection: Connection, endpoint: Endpoint, claimed: str | None) -> None:
        """Opens and serves the session that the client requests, and then each session that replaces the one before
        (see ReplacementSession), until the connection ends. Raises the error with which a
        session is refused or has failed, and ClientGone."""
        request, session = await self._open_first(connection, endpoint, claimed)
        while (replacement := await self._serve_session(connection, request, session)) is not None:
            if session.user is None:
                # The anonymous client has sent a token: charge the connect to its user.
                await self._limit_rate("connect", replacement.identity)
            # A plain client has no cursor of its own: it has received everything up to the session's positions.
            knows_positions = session.hello_sent or not request.protocol
            reached = session.cursor_for(replacement.identity.user) if knows_positions else request.cursor
            request = msgspec.structs.replace(
                request,
                identity=replacement.identity,
                cursor=replacement.cursor or reached,
                first_frame_read=True,
            )
            session = await self._open_session(request)

    async def _open_first(
        self, connection: Connection, endpoint: Endpoint, claimed: str | None
    ) -> tuple[ConnectRequest, Session]:
        handshake = connection.handshake
        token = handshake.token(cookies=self._origins.allowed is not None)
        try:
            identity = await self._identify(token, claimed)
            await self._limit_rate("connect", identity)
            request = handshake.connect_request(endpoint, identity)
            return request, await self._open_session(request)
        except (TokenMissing, TooManyAnonymous) as error:
            if not handshake.has_protocol:
                raise
            request = await self._request_after_first_frame(connection, endpoint, claimed, error)
            return request, await self._open_session(request)

    async def _request_after_first_frame(
        self, connection: Connection, endpoint: Endpoint, claimed: str | None, error: TokenMissing | TooManyAnonymous
    ) -> ConnectRequest:
        """Reads the first frame of a `herald.v1` client, which may contain the token that was missing in the handshake.
        Returns the request to open a session for the token's user. If the frame also says where to resume, the request
        has that cursor.

        Raises `error`, with which the handshake would be refused, if no frame arrives in time or the frame contains no
        token. Raises TokenInvalid if the frame has `auth` but can't be decoded, InvalidInput for other invalid frames,
        and what IdentifyCaller raises."""
        frame = await self._first_frame(connection)
        try:
            command = read_command(frame) if frame is not None else Command()
        except InvalidInput as invalid:
            if invalid.field == "auth":
                raise TokenInvalid(invalid.detail) from None
            raise
        if command.auth is msgspec.UNSET:
            raise error
        identity = await self._identify(command.auth, claimed)
        await self._limit_rate("connect", identity)
        request = connection.handshake.connect_request(endpoint, identity)
        if command.resume is None:
            return request
        cursor = command.resume.requested(tag_of(identity.user))
        return msgspec.structs.replace(request, cursor=str(cursor) if cursor else request.cursor, first_frame_read=True)

    async def _first_frame(self, connection: Connection) -> str | bytes | None:
        """Accepts the handshake and waits for the first frame. Returns the frame; None if none arrives within
        `first_frame_timeout_s`. Raises TooManyAnonymous if `max_unauthenticated` sockets are waiting already."""
        if self._unauthenticated >= self._policy.max_unauthenticated:
            raise TooManyAnonymous(
                "This node has the maximum number of WebSockets that have not sent their token yet: try again."
            )
        self._unauthenticated += 1
        try:
            async with asyncio.timeout(self._policy.first_frame_timeout_s):
                await connection.accept()
                return await connection.receive()
        except TimeoutError:
            return None
        finally:
            self._unauthenticated -= 1

    async def _serve_session(
        self, connection: Connection, request: ConnectRequest, session: Session
    ) -> ReplacementSession | None:
        """Serves one session until it ends. If the session is to be replaced by another one on the same socket, returns
        that ReplacementSession. Otherwise the connection has ended when this returns None."""
        connection.session = session
        log_opened(session)
        try:
            # The session was opened first, so the client receives all entries that are published after it is accepted.
            await connection.accept()
            all_sent = await self._exchange(connection, request, session)
            if session.close_reason is None:
                connection.client_left()
            elif session.replacement is None:
                await connection.close(session.close_reason)
            elif all_sent:
                return session.replacement
            else:
                # Some frames may not have arrived. The client has to reconnect, and resume from its own position.
                await connection.close(CloseReason(CloseCode.TOO_SLOW, "the client has stopped reading"))
            return None
        finally:
            # Removed only after the close frame is sent: a draining node waits until all sessions are removed.
            self._hub.remove(session)

    async def _exchange(self, connection: Connection, request: ConnectRequest, session: Session) -> bool:
        """Sends the frames of the session and runs the client's commands, until the client disconnects or the session
        ends. Returns whether all frames of the session were sent. Raises the first error, except ClientGone."""
        commands = self._commands(request, session) if session.view.protocol else None
        writer = asyncio.create_task(_write(connection.socket, session))
        reader = asyncio.create_task(_read(connection, session, commands))
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if session.close_reason is not None:
                await asyncio.wait({writer}, timeout=self._policy.final_frames_timeout_s)
        finally:
            # The reader has to end before a close frame is sent: see Socket.close.
            writer.cancel()
            reader.cancel()
            results = await asyncio.gather(writer, reader, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ClientGone):
                raise result
        return results[0] is None

    def _commands(self, request: ConnectRequest, session: Session) -> ClientCommands:
        return ClientCommands(
            session, request, self._streams, self._identify, self._store, self._clock, self._policy.commands
        )


async def _write(socket: Socket, session: Session) -> None:
    """Sends the frames of the session over the socket, until the session ends. Raises ClientGone."""
    # No other task sends frames; but while this task waits for a frame, the session may call `transport.try_send`.
    transport = socket.transport()
    session.attach(transport)
    async with aclosing(session.frames()) as frames:
        async for frame in frames:
            if transport.is_full:
                await transport.wait_for_room()
            transport.send(frame)
    await transport.flush()


async def _read(connection: Connection, session: Session, commands: ClientCommands | None) -> None:
    """Reads the client's frames and runs the command in each, until the session ends. If `commands` is None (a plain
    client), discards the frames. Closes the session after a frame that is too large. Raises ClientGone."""
    # Frames are read even if they are discarded: some web servers answer pings only while a task waits in `receive`.
    while session.close_reason is None:
        try:
            frame = await connection.receive()
        except FrameTooLarge as error:
            session.close(error.close_reason)
            return
        if commands is not None:
            await commands(frame)
