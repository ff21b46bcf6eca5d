"""Opening a session of the hub for a client that connects."""

import random
from typing import Final

import msgspec

from application.counters import Counters
from application.hub.hub import Hub
from application.hub.session import Session
from application.hub.session_request import ConnectRequest, SessionRequest
from application.live.followable_streams import FollowableStreams
from application.ports.clock import IdFactory
from application.ports.store import Store
from application.routes_in_force import RoutesInForce
from domain.caller_errors import NotYours, TokenMissing, UnknownFeed
from domain.positions import read_cursor
from domain.protocol.entry_kinds import View
from domain.protocol.plain_stream_messages import PlainMessages

# The range of the reconnection time for event streams: random, so that those of one node do not reconnect together.
RETRY_MS: Final = (1_000, 4_000)


class OpenSession:
    """Opens the session that an identified client requests. Raises UnknownFeed, TokenMissing and NotYours (see
    FollowableStreams), StoreUnavailable, and the errors of Hub.open."""

    def __init__(
        self,
        routes: RoutesInForce,
        streams: FollowableStreams,
        hub: Hub,
        store: Store,
        ids: IdFactory,
        counters: Counters,
    ) -> None:
        self._routes = routes
        self._streams = streams
        self._hub = hub
        self._store = store
        self._ids = ids
        self._counters = counters

    async def __call__(self, request: ConnectRequest) -> Session:
        while True:
            table = self._routes.table
            session = await self._open(request)
            if table is self._routes.table:
                self._counters.sessions[session.endpoint, session.listener] += 1
                return session
            # Other routes were put in force meanwhile. The session may have been opened too late for RecheckSessions.
            self._hub.remove(session)

    def is_current(self, session: Session) -> bool:
        """Returns whether the routes in force give the client of this session the same streams in the same form. False
        too if the client may not follow what it has requested any more."""
        request = msgspec.structs.replace(session.request.client, identity=session.identity)
        try:
            return self._streams(request) == session.request.streams and self._view(request) == session.view
        except (UnknownFeed, TokenMissing, NotYours):
            return False

    async def _open(self, request: ConnectRequest) -> Session:
        endpoint, view, streams = request.endpoint, self._view(request), self._streams(request)
        return await self._hub.open(
            SessionRequest(
                id=self._ids.new_id().hex,
                client=request,
                endpoint=endpoint.name,
                identity=request.identity,
                view=view,
                plain=PlainMessages.of(endpoint),
                epoch=await self._store.epoch(),
                streams=streams,
                cursor=request.cursor,
                may_resume=_may_resume(request),
                retry_ms=random.randint(*RETRY_MS),
            )
        )

    def _view(self, request: ConnectRequest) -> View:
        endpoint = request.endpoint
        profile = self._routes.table.shown_profile(endpoint)
        return View(
            transport=endpoint.transport,
            protocol=request.protocol,
            profile=profile,
            inbox_profile=profile if endpoint.inbox == "profile" else None,
            types=request.types,
        )


def _may_resume(request: ConnectRequest) -> bool:
    """Returns whether the session waits for the client's first command before it sends `hello`.

    True for a `herald.v1` WebSocket without a cursor in the URL, because the command may contain the cursor; and for an
    anonymous one with the cursor of a user, because the command may contain the user's token. False if the first frame
    has been handled already.
    """
    if not request.protocol or request.endpoint.transport != "ws" or request.first_frame_read:
        return False
    if request.cursor is None:
        return True
    cursor = read_cursor(request.cursor)
    return request.identity.user is None and cursor is not None and cursor.tag != ""
