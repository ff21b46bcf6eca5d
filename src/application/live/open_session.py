"""Opening a session: what a caller may follow, from where."""

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from application.counters import Counters
from application.hub.hub import Hub
from application.hub.opening import Opening
from application.hub.session import Session
from application.live.endpoints import Endpoint
from application.ports.clock import Clock, IdFactory
from application.ports.store import Store
from domain.errors import NotYours, TokenMissing, UnknownFeed
from domain.identity import Identity
from domain.positions import read_cursor
from domain.protocol.herald_v1 import View
from domain.routes import PUBLIC, SIGNED_IN, RouteTable
from domain.streams import feed_stream, inbox_of

# What event streams are told to wait before they reconnect, in milliseconds; spread, so that those of one node do not
# return as one.
RETRY: Final = (1_000, 4_000)


class ConnectRequest(msgspec.Struct, frozen=True):
    """What a client asks for when it connects. `feeds` and `types` narrow; None is all. `first_frame_read`: the frame
    that may say where to resume has been read already, so `hello` does not wait for it."""

    endpoint: Endpoint
    identity: Identity
    protocol: bool = False
    feeds: tuple[str, ...] | None = None
    types: frozenset[str] | None = None
    cursor: str | None = None
    first_frame_read: bool = False


class OpenSession:
    """Opens a session for a caller whose identity is known.

    The caller's own inbox and the feeds that are open to it are followed; feeds that were not asked for by name and
    are closed to it are left out without a word. Refuses with UnknownFeed, NotYours (a feed by name that is closed to
    the caller), TokenMissing (nothing is open to nobody), and what Hub.open refuses with.
    """

    def __init__(
        self, table: RouteTable, hub: Hub, store: Store, clock: Clock, ids: IdFactory, counters: Counters
    ) -> None:
        self._table = table
        self._hub = hub
        self._store = store
        self._clock = clock
        self._ids = ids
        self._counters = counters

    async def __call__(self, request: ConnectRequest) -> Session:
        endpoint = request.endpoint
        home = endpoint.home(self._table)
        view = View(
            transport=endpoint.transport,
            protocol=request.protocol,
            profile=home,
            inbox_profile=home if endpoint.inbox == "profile" else None,
            types=request.types,
        )
        streams = self._streams(request, home)
        opening = Opening(
            id=self._ids.new_id().hex,
            endpoint=endpoint.name,
            identity=request.identity,
            view=view,
            epoch=await self._store.epoch(),
            heartbeat=self._hub.heartbeat,
            retry=random.randint(*RETRY),
            counters=self._counters,
            now=self._clock.now,
            fetch=self._hub.streams.fetch,
            resume=self._hub.resume,
            admits=lambda identity: self._streams(msgspec.structs.replace(request, identity=identity), home) == streams,
        )
        session = await self._hub.open(opening, streams, request.cursor)
        if _may_say_more(request):
            session.await_first_command()
        self._counters.sessions[endpoint.name] += 1
        return session

    def _streams(self, request: ConnectRequest, home: str | None) -> Sequence[str]:
        endpoint, identity = request.endpoint, request.identity
        there: Sequence[str] = ()
        if request.protocol:
            there = self._table.feeds_of(None)
        elif endpoint.feeds:
            there = self._table.feeds_of(home)
        names = there if request.feeds is None else [name for name in there if name in request.feeds]
        for name in request.feeds or ():
            if name not in there:
                raise UnknownFeed(name)
            if not self.may_listen(identity, name):
                raise TokenMissing if identity.user is None else NotYours
        streams = [feed_stream(name) for name in names if self.may_listen(identity, name)]
        if identity.user is not None and (request.protocol or endpoint.inbox != "none"):
            streams.append(inbox_of(identity.user))
        if not streams:
            raise TokenMissing if identity.user is None else NotYours
        return streams

    def may_listen(self, identity: Identity, feed_name: str) -> bool:
        access = self._table.feeds[feed_name].access
        if access == PUBLIC:
            return True
        if access == SIGNED_IN:
            return identity.user is not None or identity.may("admin")
        return identity.may(access.removeprefix("scope:"))


def _may_say_more(request: ConnectRequest) -> bool:
    """Whether the client's first frame may still say where to resume; or, where it shows a user's cursor without a
    token, who it is."""
    if not request.protocol or request.endpoint.transport != "ws" or request.first_frame_read:
        return False
    if request.cursor is None:
        return True
    shown = read_cursor(request.cursor)
    return request.identity.user is None and shown is not None and shown.tag != ""
