"""Event streams (SSE): a session's frames as one endless response."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from litestar import Request, Response
from litestar.response import Stream

from adapters.sockets.connection import log_opened, record_end
from adapters.sockets.handshake import connect_request_of, shown_token
from adapters.web.origins import Origins
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.counters import Counters
from application.hub.hub import Hub
from application.hub.session import Session
from application.live.endpoints import PRODUCTS
from application.live.open_session import OpenSession
from domain.errors import SignedOut

# No proxy may store, compress or buffer events: a compressor that waits for more sends nothing, not even the head of
# the answer (X-Accel-Buffering is nginx's, which ignores no-transform).
HEADERS: Final = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}


class StreamGate:
    """Serves event streams. Refusals are HeraldErrors for the HTTP layer to answer, but one: after a sign-out an
    `EventSource` is answered 204, which is the only thing that makes it stop."""

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

    async def serve(self, request: Request[Any, Any, Any], claimed: str | None) -> Response[Any]:
        token = shown_token(request, [], cookies=self._origins.allowed is not None)
        try:
            identity = await self._identify(token, claimed)
            await self._limit_rate("connect", identity)
            session = await self._open_session(connect_request_of(request, PRODUCTS, identity))
        except SignedOut:
            return Response(None, status_code=204)
        log_opened(session)
        return Stream(self._frames(session), media_type="text/event-stream", headers=HEADERS)

    async def _frames(self, session: Session) -> AsyncGenerator[bytes, None]:
        task = asyncio.current_task()
        if task is not None:
            session.force_close = task.cancel
            # Where the task is cancelled while it sends, nobody closes this generator before the garbage collector
            # does.
            task.add_done_callback(lambda _: self._end(session))
        number = 0
        going: int | None = None
        session.oldest_unsent = lambda: going
        try:
            async with aclosing(session.frames()) as frames:
                async for frame in frames:
                    number += 1
                    going = number
                    yield frame.encode()
                    going = None
        finally:
            self._end(session)

    def _end(self, session: Session) -> None:
        """May be called more than once."""
        if session in self._hub.sessions:
            self._hub.remove(session)
            record_end(self._counters, session.endpoint, session, session.close_reason)
