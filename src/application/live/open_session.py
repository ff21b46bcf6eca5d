"""Opening a session of the hub for a client that connects."""

import random
from typing import Final

from application.counters import Counters
from application.hub.hub import Hub
from application.hub.session import Session
from application.hub.session_request import SessionRequest
from application.live.followable_streams import ConnectRequest, FollowableStreams
from application.ports.clock import IdFactory
from application.ports.store import Store
from domain.positions import read_cursor
from domain.protocol.entry_kinds import View
from domain.protocol.plain_stream_messages import PlainMessages
from domain.routes import RouteTable

# The range of the reconnection time for event streams: random, so that those of one node do not reconnect together.
RETRY_MS: Final = (1_000, 4_000)


class OpenSession:
    """Opens the session that an identified client requests. Raises UnknownFeed, TokenMissing and NotYours (see
    FollowableStreams), StoreUnavailable, and the errors of Hub.open."""

    def __init__(
        self,
        table: RouteTable,
        streams: FollowableStreams,
        hub: Hub,
        store: Store,
        ids: IdFactory,
        counters: Counters,
    ) -> None:
        self._table = table
        self._streams = streams
        self._hub = hub
        self._store = store
        self._ids = ids
        self._counters = counters

    async def __call__(self, request: ConnectRequest) -> Session:
        endpoint = request.endpoint
        streams = self._streams(request)
        session = await self._hub.open(
            SessionRequest(
                id=self._ids.new_id().hex,
                endpoint=endpoint.name,
                identity=request.identity,
                view=self._view(request),
                plain=PlainMessages.of(endpoint),
                epoch=await self._store.epoch(),
                streams=streams,
                cursor=request.cursor,
                may_resume=_may_resume(request),
                retry_ms=random.randint(*RETRY_MS),
            )
        )
        self._counters.sessions[endpoint.name] += 1
        return session

    def _view(self, request: ConnectRequest) -> View:
        endpoint = request.endpoint
        profile = self._table.shown_profile(endpoint)
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
