"""Determines which streams (inbox and feeds) a caller may follow."""

import msgspec

from domain.caller_errors import NotYours, TokenMissing, UnknownFeed
from domain.endpoints import Endpoint
from domain.identity import Identity
from domain.routes import PUBLIC, SIGNED_IN, RouteTable
from domain.streams import StreamName, feed_stream, inbox_of


class ConnectRequest(msgspec.Struct, frozen=True):
    """What a client requests when it connects to an endpoint.

    `protocol`: True for `herald.v1`, False for a plain client. `feeds` and `types`: the feeds, and the types of events,
    to which the client restricts its session; None means all. `cursor`: where to resume. `first_frame_read`: the
    client's first frame, which may contain a cursor, has been handled already, so the new session does not wait for it.
    """

    endpoint: Endpoint
    identity: Identity
    protocol: bool = False
    feeds: tuple[str, ...] | None = None
    types: frozenset[str] | None = None
    cursor: str | None = None
    first_frame_read: bool = False


class FollowableStreams:
    """Determines the streams that a new session follows, from the client's request and its access."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    def __call__(self, request: ConnectRequest) -> tuple[StreamName, ...]:
        """Returns the names of the streams: the caller's inbox, if the endpoint offers it, and the feeds that the
        endpoint offers and the caller may follow; if the request names feeds, only these. To `herald.v1` clients, every
        endpoint offers the inbox and all feeds.

        Raises UnknownFeed if the request names a feed that the endpoint does not offer. If the caller may not follow a
        feed that the request names, or may follow no stream at all, raises TokenMissing for an anonymous caller and
        NotYours for a user.
        """
        endpoint, identity = request.endpoint, request.identity
        available = self._feeds_at(request)
        names = available if request.feeds is None else [name for name in available if name in request.feeds]
        for name in request.feeds or ():
            if name not in available:
                raise UnknownFeed(name)
            if not self.may_follow(identity, name):
                raise TokenMissing if identity.user is None else NotYours
        streams = [feed_stream(name) for name in names if self.may_follow(identity, name)]
        if identity.user is not None and (request.protocol or endpoint.inbox != "none"):
            streams.append(inbox_of(identity.user))
        if not streams:
            raise TokenMissing if identity.user is None else NotYours
        return tuple(streams)

    def may_follow(self, identity: Identity, feed: str) -> bool:
        access = self._table.feeds[feed].access
        if access == PUBLIC:
            return True
        if access == SIGNED_IN:
            return identity.user is not None or identity.may("admin")
        return identity.may(access.removeprefix("scope:"))

    def _feeds_at(self, request: ConnectRequest) -> list[str]:
        if request.protocol:
            return list(self._table.feeds_of(None))
        if request.endpoint.feeds:
            return list(self._table.feeds_of(self._table.shown_profile(request.endpoint)))
        return []
