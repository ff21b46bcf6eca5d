"""Event streams (server-sent events): the frames of a session are the parts of one HTTP response, which stays open
until the session ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from litestar import Request, Response
from litestar.response import Stream
from litestar.types import Scope

from adapters.sockets.direct_send import direct_send, release_with
from adapters.sockets.litestar_handshake import handshake_of
from adapters.web.origins_and_hosts import Origins
from adapters.web.websocket_connection import log_opened, record_end
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.counters import Counters
from application.hub.hub import Hub
from application.hub.session import Session
from application.live.open_session import OpenSession
from domain.caller_errors import SignedOut
from domain.endpoints import Endpoint

# These headers forbid proxies to store, compress or buffer events. A proxy that compresses the response may wait for
# more data before it sends anything, even the headers. nginx ignores `no-transform`, but respects `x-accel-buffering`.
HEADERS: Final = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}


class StreamTransport:
    """The transport of one event stream (see application.hub.transport.Transport).

    The web server takes frames from the response, one after the other. While it waits for the next one, `try_send`
    passes a frame to the server's own `send` function, which is faster. `send` is that function; None if there is none.
    """

    # Granian accepts up to four parts of a response at once, without waiting for the client. If it has no room for a
    # part, the awaitable that `send` returns is not done; a later part could overtake it, so none is sent meanwhile.

    def __init__(self, send: Any) -> None:
        self._send = send
        self._task = asyncio.current_task()
        self._taken = 0
        self._is_sending = False
        self._unsent: Any = None  # the awaitable of the part that `try_send` has passed to the server

    def try_send(self, frame: str) -> bool:
        if self._send is None or self._is_sending or not self._is_done():
            return False
        sending = self._send({"type": "http.response.body", "body": frame.encode(), "more_body": True})
        self._unsent = asyncio.ensure_future(sending) if asyncio.iscoroutine(sending) else sending
        self._taken += 1
        return True

    @property
    def oldest_unsent(self) -> int | None:
        return self._taken if self._is_sending or not self._is_done() else None

    def force_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def sending(self) -> None:
        """Waits for what `try_send` has passed to the server, and records that the server is sending another frame."""
        self._is_sending = True
        if not self._is_done():
            await self._unsent
        self._taken += 1

    def sent(self) -> None:
        """Records that the last frame was sent, because the web server requests the next frame."""
        self._is_sending = False

    def release(self) -> None:
        """Removes the reference to the web server's `send` function. From now on, `try_send` sends nothing."""
        self._send = self._unsent = None

    def _is_done(self) -> bool:
        # What Granian has accepted at once has no `done`.
        done = getattr(self._unsent, "done", None)
        return done is None or done()


class StreamGate:
    """Serves requests for event streams: identifies the caller, opens a session, and returns the response with its
    frames.

    Raises a HeraldError if the request is refused; exception handlers convert it to an error response. But if the user
    has signed out since the token was issued, returns an empty response with status 204, which makes an `EventSource`
    in a browser stop reconnecting.
    """

    def __init__(
        self,
        identify: IdentifyCaller,
        open_session: OpenSession,
        limit_rate: LimitRate,
        hub: Hub,
        counters: Counters,
        origins: Origins,
    ) -> None:
        self._identify = identify
        self._open_session = open_session
        self._limit_rate = limit_rate
        self._hub = hub
        self._counters = counters
        self._origins = origins

    async def serve(self, request: Request[Any, Any, Any], endpoint: Endpoint, claimed: str | None) -> Response[Any]:
        handshake = handshake_of(request)
        token = handshake.token(cookies=self._origins.allowed is not None)
        try:
            identity = await self._identify(token, claimed)
            await self._limit_rate("connect", identity)
            session = await self._open_session(handshake.connect_request(endpoint, identity))
        except SignedOut:
            return Response(None, status_code=204)
        log_opened(session)
        return Stream(self._frames(session, request.scope), media_type="text/event-stream", headers=HEADERS)

    async def _frames(self, session: Session, scope: Scope) -> AsyncGenerator[bytes, None]:
        transport = StreamTransport(direct_send(scope))
        release_with(scope, transport)
        session.attach(transport)
        if (task := asyncio.current_task()) is not None:
            # If the task is cancelled while it sends a frame, this generator is closed only by the garbage collector,
            # which may run much later.
            task.add_done_callback(lambda _: self._end(session))
        try:
            async with aclosing(session.frames()) as frames:
                async for frame in frames:
                    await transport.sending()
                    yield frame.encode()
                    transport.sent()
        except Exception as error:
            session.fail(error)
            raise
        finally:
            self._end(session)

    def _end(self, session: Session) -> None:
        """Removes the session from the hub, and counts and logs its end. Does nothing when called again for the same
        session."""
        if session in self._hub.sessions:
            self._hub.remove(session)
            record_end(self._counters, session.endpoint, session.listener, session, session.close_reason)
