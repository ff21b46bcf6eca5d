"""Every problem that Herald responds with, in one table: responses, the pages under `/problems` and the OpenAPI
document are made from it."""

from collections.abc import Mapping
from typing import Final

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem. `retry_after` is in seconds: the default of the `Retry-After` header, if repeating the
    request can help."""

    code: str
    status: int
    title: str
    meaning: str
    advice: str
    retry_after: int | None = None


_KINDS: Final = (
    Kind(
        "invalid_request",
        400,
        "Invalid request",
        "A parameter has an invalid value, or the request is not valid HTTP.",
        "Correct the parameters that `errors` names; the document at /schema describes them.",
    ),
    Kind(
        "unknown_parameter",
        400,
        "Unknown query parameter",
        "The query has a parameter that this operation does not have. It is refused, since ignoring a misspelt filter"
        " would return too much.",
        "Remove or correct the parameters that `errors` names.",
    ),
    Kind(
        "token_missing",
        401,
        "Token missing",
        "This operation needs a token.",
        "Send `Authorization: Bearer <token>`.",
    ),
    Kind(
        "token_invalid",
        401,
        "Token invalid",
        "The token is malformed, signed with another key, for another audience, or not valid yet.",
        "Get a new token. If it is refused as well, compare issuer, audience and key with the server's settings.",
    ),
    Kind("token_expired", 401, "Token expired", "The token has expired.", "Get a new token and repeat the request."),
    Kind(
        "signed_out",
        401,
        "Signed out",
        "The user has signed out after this token was issued; signing out revokes all tokens issued before.",
        "Ask the user to sign in again.",
    ),
    Kind(
        "access_refused",
        403,
        "Access refused",
        "The caller may not do this.",
        "Do not repeat the request with the same identity.",
    ),
    Kind(
        "not_yours",
        403,
        "Not yours",
        "The request names a user other than the token's, or a feed that the token may not read.",
        "Use the token's own user (`sub`), or a token that may read the feed.",
    ),
    Kind(
        "scope_missing",
        403,
        "Scope missing",
        "The token is valid, but lacks the scope that this operation needs; `detail` names it.",
        "Get a token with that scope.",
    ),
    Kind(
        "origin_refused",
        403,
        "Origin refused",
        "Pages of this origin may not connect, publish or change anything.",
        "If the page is yours, add its origin to HERALD_ORIGINS. For Herald's own page behind a proxy that changes the"
        " Host header, set HERALD_PUBLIC_URL.",
    ),
    Kind(
        "host_refused",
        421,
        "Host refused",
        "The request's `Host` header names a host that this server does not serve.",
        "Use a host of HERALD_HOSTS, or add this one to it. If HERALD_HOSTS is not set and HERALD_ORIGINS is"
        " `loopback`, as in `herald dev`, the hosts are `localhost`, `127.0.0.1` and `[::1]`.",
    ),
    Kind(
        "not_found",
        404,
        "Not found",
        "Nothing exists at this address, or it belongs to another user.",
        "Check the address and the id; do not repeat the request.",
    ),
    Kind(
        "unknown_feed",
        404,
        "Unknown feed",
        "`feeds` names a feed that does not exist, or that this endpoint does not serve; `detail` names it.",
        "Correct the name; the front page at / lists the feeds of each profile.",
    ),
    Kind(
        "method_not_allowed",
        405,
        "Method not allowed",
        "The address exists, but not with this method.",
        "Use one of the methods that the `Allow` header names.",
    ),
    Kind(
        "body_timeout",
        408,
        "Body timeout",
        "The request's body did not arrive within 30 s.",
        "Repeat the request, or send less in one request.",
    ),
    Kind(
        "not_failed",
        409,
        "Not failed",
        "Only a failed delivery can be retried. `delivery_status` is the status of this one.",
        "Nothing needs to be done: a pending delivery will be tried, and a sent or skipped one is finished.",
    ),
    Kind("too_large", 413, "Too large", "The body is larger than the server accepts.", "Send less in one request."),
    Kind(
        "address_too_long",
        414,
        "Address too long",
        "Path and query together are longer than the server accepts.",
        "Use fewer filters, and send a token in the `Authorization` header.",
    ),
    Kind(
        "headers_too_large",
        431,
        "Headers too large",
        "The request's headers together are larger than the server accepts.",
        "Send fewer cookies, or a smaller token.",
    ),
    Kind(
        "unsupported_media_type",
        415,
        "Unsupported media type",
        "The body has a media type that this operation does not accept.",
        "Send JSON, with `Content-Type: application/json`.",
    ),
    Kind(
        "invalid_input",
        422,
        "Invalid input",
        "The request is well formed, but one of its values is invalid. `field` names it, `detail` says why.",
        "Correct the request; the same one will be refused again.",
    ),
    Kind(
        "too_many_requests",
        429,
        "Too many requests",
        "This user, or this token, sends more requests than the server allows.",
        "Wait for the seconds in `Retry-After`, then continue more slowly.",
        retry_after=1,
    ),
    Kind(
        "too_many_sessions",
        429,
        "Too many sessions",
        "This user has the maximum number of connections.",
        "Close one that is not needed, then connect again.",
        retry_after=5,
    ),
    Kind(
        "too_many_sessions_elsewhere",
        503,
        "Too many sessions on other nodes",
        "This user has the maximum number of connections, counting those that other nodes have reported.",
        "Connect again after the seconds in `Retry-After`: a connection that has ended may still be counted.",
        retry_after=2,
    ),
    Kind(
        "too_many_anonymous",
        503,
        "Too many anonymous connections",
        "This node has the maximum number of connections without a token: sessions without a user"
        " (HERALD_MAX_ANONYMOUS_SESSIONS), or sockets whose first frame is awaited (HERALD_MAX_PENDING_SOCKETS).",
        "Connect again after the seconds in `Retry-After`, or with a token in the handshake.",
        retry_after=2,
    ),
    Kind(
        "node_full",
        503,
        "Node full",
        "This node has reached its limit of open files and accepts no more WebSockets.",
        "Connect again after the seconds in `Retry-After`: another node may have capacity. If you operate the server,"
        " raise the limit of open files (ulimit -n, LimitNOFILE), or start another node.",
        retry_after=2,
    ),
    Kind(
        "internal",
        500,
        "Internal error",
        "An unexpected error in Herald. The server's log has the details, under the `trace_id` of the response.",
        "Repeat the request. If the error persists, report the `trace_id` to the operator of the server.",
    ),
    Kind(
        "draining",
        503,
        "Draining",
        "This node is shutting down and accepts no new clients.",
        "Connect again: another node, or the restarted one, will respond.",
        retry_after=2,
    ),
    Kind(
        "unavailable",
        503,
        "Unavailable",
        "A service that Herald depends on is unavailable. Nothing was changed, or the request is safe to repeat.",
        "Repeat the request after `Retry-After`, with backoff.",
        retry_after=2,
    ),
)

KINDS: Final[Mapping[str, Kind]] = {kind.code: kind for kind in _KINDS}


def address_of(code: str) -> str:
    """The `type` of a problem: the page about it, relative to the address of the service."""
    return f"/problems/{code}"
