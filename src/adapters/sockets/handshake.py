"""Handshakes: what a client asks for when it connects, and how it is refused."""

from typing import Any, Final

from litestar import Request, WebSocket
from litestar.connection import ASGIConnection

from adapters.web.tokens import find_token, read_cookies
from application.live.endpoints import Endpoint
from application.live.open_session import ConnectRequest
from application.ports.store import StoreUnavailable
from domain import errors
from domain.identity import Identity
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode, CloseReason

Connection = ASGIConnection[Any, Any, Any, Any]

_CODES: Final[dict[type[Exception], CloseCode]] = {
    errors.TokenMissing: CloseCode.TOKEN_REFUSED,
    errors.TokenInvalid: CloseCode.TOKEN_REFUSED,
    errors.TokenExpired: CloseCode.TOKEN_EXPIRED,
    errors.SignedOut: CloseCode.SIGNED_OUT,
    errors.NotYours: CloseCode.FORBIDDEN,
    errors.TooManyRequests: CloseCode.TRY_LATER,
    errors.TooManySessions: CloseCode.TOO_MANY_SESSIONS,
    errors.TooManySessionsElsewhere: CloseCode.TRY_LATER,
    errors.TooManyAnonymous: CloseCode.TRY_LATER,
    errors.UnknownFeed: CloseCode.UNKNOWN_FEED,
    errors.Draining: CloseCode.RESTARTING,
    errors.InvalidInput: CloseCode.NOT_UNDERSTOOD,
    errors.Unavailable: CloseCode.TRY_LATER,
    StoreUnavailable: CloseCode.TRY_LATER,
}

REFUSALS: Final = tuple(_CODES)


def close_reason_for(refusal: Exception) -> CloseReason:
    """How a socket is closed that was refused for this reason."""
    text = str(refusal) if isinstance(refusal, errors.HeraldError) else errors.Unavailable.text
    return CloseReason(_CODES[type(refusal)], text)


def offered(socket: WebSocket[Any, Any, Any]) -> list[str]:
    """The subprotocols that the client offers. Several header lines are one list (RFC 6455, section 11.3.4)."""
    lines = socket.headers.getall("sec-websocket-protocol", [])
    return [name.strip() for line in lines for name in line.split(",") if name.strip()]


def shown_token(connection: Connection, subprotocols: list[str], cookies: bool) -> str | None:
    """The token that the client shows. Cookies count only where pages of other sites can't use them."""
    found = read_cookies(connection.headers.getall("cookie", [])) if cookies else {}
    return find_token(connection.headers, subprotocols, found, connection.query_params)


def connect_request_of(connection: Connection, endpoint: Endpoint, identity: Identity) -> ConnectRequest:
    """What the query says; parameters that are not known are ignored."""
    query = connection.query_params
    if isinstance(connection, Request):
        protocol = query.get("protocol") == "1"
        cursor = connection.headers.get("last-event-id") or query.get("last_event_id") or query.get("cursor")
    else:
        protocol = SUBPROTOCOL in offered(connection) if isinstance(connection, WebSocket) else False
        cursor = query.get("cursor")
    types = _listed(query.get("types"))
    return ConnectRequest(
        endpoint=endpoint,
        identity=identity,
        protocol=protocol,
        feeds=_listed(query.get("feeds")),
        types=frozenset(types) if types is not None else None,
        cursor=cursor or None,
    )


def _listed(text: str | None) -> tuple[str, ...] | None:
    return tuple(item for item in text.split(",") if item) if text is not None else None
