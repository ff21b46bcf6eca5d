"""How WebSockets are refused: the error responses to handshakes, and the close code for each exception."""

import math
from typing import Final

import msgspec

from adapters.web.request_limits import MAX_TARGET_BYTES
from application.ports.store import StoreUnavailable
from domain import caller_errors
from domain.protocol.herald_v1 import CloseCode, CloseReason
from domain.public_url import PublicUrl

# The `Retry-After` of refusals that concern this node only: another node, or this node after a restart, may accept the
# client.
RETRY_ELSEWHERE_S: Final = 2


class HandshakeRefusal(msgspec.Struct, frozen=True):
    """An HTTP error response (RFC 9457) with which a WebSocket handshake is refused."""

    status: int
    code: str
    title: str
    detail: str
    retry_after_s: int | None = None

    def body(self, public_url: PublicUrl) -> bytes:
        problem = {
            "type": public_url.of(f"/problems/{self.code}"),
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        return msgspec.json.encode(problem)

    def headers(self, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        return headers


NOT_FOUND: Final = HandshakeRefusal(404, "not_found", "Not found", "There is no WebSocket endpoint at this path.")
ORIGIN_REFUSED: Final = HandshakeRefusal(
    403, "origin_refused", "Origin refused", "Pages of this origin may not connect."
)
HOST_REFUSED: Final = HandshakeRefusal(
    421, "host_refused", "Host refused", "This server does not accept requests for this host."
)
ADDRESS_TOO_LONG: Final = HandshakeRefusal(
    414,
    "address_too_long",
    "Address too long",
    f"The path and the query may have at most {MAX_TARGET_BYTES} bytes together.",
)
HEADERS_TOO_LARGE: Final = HandshakeRefusal(
    431, "headers_too_large", "Headers too large", "The request line and the headers are larger than this port accepts."
)
DRAINING: Final = HandshakeRefusal(503, "draining", "Draining", caller_errors.Draining.text, RETRY_ELSEWHERE_S)
NODE_FULL: Final = HandshakeRefusal(
    503,
    "node_full",
    "Node full",
    "This node has the maximum number of WebSockets that its limit of open files allows: connect again.",
    RETRY_ELSEWHERE_S,
)


def invalid_handshake(detail: str) -> HandshakeRefusal:
    return HandshakeRefusal(400, "invalid_request", "Invalid request", detail)


def upgrade_required(detail: str) -> HandshakeRefusal:
    return HandshakeRefusal(426, "upgrade_required", "Upgrade required", detail)


def too_many(error: caller_errors.TooManyRequests | caller_errors.TooManyAnonymous) -> HandshakeRefusal:
    """Returns the HTTP response with which a handshake is refused if its user exceeds the rate limit (429), or if the
    node has the maximum number of anonymous connections (503). `Retry-After` says when to connect again."""
    # Such a response costs less than accepting and closing a WebSocket, and a close code has no `Retry-After`.
    if isinstance(error, caller_errors.TooManyRequests):
        wait_s = max(1, math.ceil(error.retry_after))
        return HandshakeRefusal(429, error.code, "Too many requests", error.detail, wait_s)
    return HandshakeRefusal(503, error.code, "Too many anonymous connections", error.detail, RETRY_ELSEWHERE_S)


_CLOSE_CODES: Final[dict[type[Exception], CloseCode]] = {
    caller_errors.TokenMissing: CloseCode.TOKEN_REFUSED,
    caller_errors.TokenInvalid: CloseCode.TOKEN_REFUSED,
    caller_errors.TokenExpired: CloseCode.TOKEN_EXPIRED,
    caller_errors.SignedOut: CloseCode.SIGNED_OUT,
    caller_errors.NotYours: CloseCode.FORBIDDEN,
    caller_errors.TooManyRequests: CloseCode.TRY_LATER,
    caller_errors.TooManySessions: CloseCode.TOO_MANY_SESSIONS,
    caller_errors.TooManySessionsElsewhere: CloseCode.TRY_LATER,
    caller_errors.TooManyAnonymous: CloseCode.TRY_LATER,
    caller_errors.UnknownFeed: CloseCode.UNKNOWN_FEED,
    caller_errors.Draining: CloseCode.RESTARTING,
    caller_errors.InvalidInput: CloseCode.NOT_UNDERSTOOD,
    caller_errors.Unavailable: CloseCode.TRY_LATER,
    StoreUnavailable: CloseCode.TRY_LATER,
}

# The errors that have a close code. All other exceptions close a WebSocket with the code for an internal error.
CLOSING_ERRORS: Final = tuple(_CLOSE_CODES)


def close_reason_for(error: Exception) -> CloseReason:
    """Returns the close code and the text with which a WebSocket is closed after this error. The type of the error must
    be one of CLOSING_ERRORS."""
    text = str(error) if isinstance(error, caller_errors.HeraldError) else caller_errors.Unavailable.text
    return CloseReason(_CLOSE_CODES[type(error)], text)
