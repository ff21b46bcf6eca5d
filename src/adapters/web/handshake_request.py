"""The request with which a client connects, in a form that does not depend on the web server."""

from collections.abc import Iterable, Mapping

from adapters.web.tokens import find_token, read_cookies
from application.hub.session_request import ConnectRequest, Listener
from domain.endpoints import Endpoint
from domain.identity import Identity
from domain.protocol.herald_v1 import SUBPROTOCOL


class Handshake:
    """The headers and the query of the request with which a client connects to a WebSocket or an event stream.

    `headers` and `query` have one value for each name. Two headers may occur several times, so all their values are
    passed separately: those of `Sec-WebSocket-Protocol` as `subprotocol_lines`, those of `Cookie` as `cookie_lines`.
    The lookup in `headers` must ignore case. `listener` is where the client has connected.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        subprotocol_lines: Iterable[str],
        cookie_lines: Iterable[str],
        listener: Listener = "main",
    ) -> None:
        self._headers = headers
        self._query = query
        self._cookie_lines = cookie_lines
        self.listener = listener
        # The values of several header lines form one list (RFC 6455, section 11.3.4).
        self.subprotocols = [name.strip() for line in subprotocol_lines for name in line.split(",") if name.strip()]

    @property
    def has_protocol(self) -> bool:
        """Returns whether the client offers the WebSocket subprotocol `herald.v1`."""
        return SUBPROTOCOL in self.subprotocols

    @property
    def origin(self) -> str | None:
        return self._headers.get("origin")

    def token(self, *, cookies: bool) -> str | None:
        """Returns the token that the client has sent; None if it has sent no token. A token in a cookie is used only if
        `cookies` is true. Pass true only if pages of other sites can't connect, because browsers send the
        cookie also for such pages."""
        values = read_cookies(self._cookie_lines) if cookies else {}
        return find_token(self._headers, self.subprotocols, values, self._query)

    def connect_request(self, endpoint: Endpoint, identity: Identity) -> ConnectRequest:
        """Returns the request to open a session at `endpoint` for the caller `identity`. The feeds, types, cursor and
        protocol are read from the handshake. Unknown query parameters are ignored."""
        query = self._query
        if endpoint.transport == "sse":
            protocol = query.get("protocol") == "1"
            cursor = self._headers.get("last-event-id") or query.get("last_event_id") or query.get("cursor")
        else:
            protocol, cursor = self.has_protocol, query.get("cursor")
        types = _listed(query.get("types"))
        return ConnectRequest(
            endpoint=endpoint,
            identity=identity,
            protocol=protocol,
            feeds=_listed(query.get("feeds")),
            types=frozenset(types) if types is not None else None,
            cursor=cursor or None,
            listener=self.listener,
        )


def _listed(text: str | None) -> tuple[str, ...] | None:
    return tuple(item for item in text.split(",") if item) if text is not None else None
