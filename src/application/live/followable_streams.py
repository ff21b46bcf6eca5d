"""Determines which streams (inbox and feeds) a caller may follow."""

from application.hub.session_request import ConnectRequest
from application.routes_in_force import RoutesInForce
from domain.caller_errors import NotYours, TokenMissing, UnknownFeed
from domain.identity import Identity
from domain.profiles import PUBLIC, SCOPE, SIGNED_IN
from domain.streams import StreamName, feed_stream, inbox_of


class FollowableStreams:
    """Determines the streams that a new session follows, from the client's request and its access."""

    def __init__(self, routes: RoutesInForce) -> None:
        self._routes = routes

    def __call__(self, request: ConnectRequest) -> tuple[StreamName, ...]:
        """Returns the names of the streams: the caller's inbox, if the endpoint offers it, and the feeds that the
        endpoint offers and the caller may follow; if the request names feeds, only these. To `herald.v1` clients, every
        endpoint offers the inbox and all feeds.

        Raises UnknownFeed if the request names a feed that the endpoint does not offer. If the caller may not follow a
        feed that the request names, or may follow no stream at all, raises TokenMissing for an anonymous caller and
        NotYours for a user. The text names the scope that a feed needs.
        """
        endpoint, identity = request.endpoint, request.identity
        available = self._feeds_at(request)
        names = available if request.feeds is None else [name for name in available if name in request.feeds]
        for name in request.feeds or ():
            if name not in available:
                raise UnknownFeed(name)
            if not self.may_follow(identity, name):
                raise self._refusal(identity, name)
        streams = [feed_stream(name) for name in names if self.may_follow(identity, name)]
        if identity.user is not None and (request.protocol or endpoint.inbox != "none"):
            streams.append(inbox_of(identity.user))
        if not streams:
            raise TokenMissing if identity.user is None else NotYours
        return tuple(streams)

    def may_follow(self, identity: Identity, feed: str) -> bool:
        access = self._routes.table.feeds[feed].access
        if access == PUBLIC:
            return True
        if access == SIGNED_IN:
            return identity.user is not None or identity.may("admin")
        return identity.may(access.removeprefix(SCOPE))

    def _refusal(self, identity: Identity, feed: str) -> TokenMissing | NotYours:
        access = self._routes.table.feeds[feed].access
        scope = access.removeprefix(SCOPE) if access.startswith(SCOPE) else None
        if identity.user is None:
            return TokenMissing(f"A token with the scope {scope} is needed." if scope else None)
        return NotYours(f"This feed needs a token with the scope {scope}." if scope else None)

    def _feeds_at(self, request: ConnectRequest) -> list[str]:
        table = self._routes.table
        if request.protocol:
            return list(table.feeds_of(None))
        if request.endpoint.feeds:
            return list(table.feeds_of(table.shown_profile(request.endpoint)))
        return []
