"""The catalogue of all problems (RFC 9457), which are the error responses of Herald. Error responses, the pages under
`/problems` and the OpenAPI document are generated from this table."""

from collections.abc import Mapping
from typing import Final

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem. `code` identifies it, `meaning` says what is wrong, `advice` what the client can do.

    `retry_after` is the value of the `Retry-After` header in seconds, unless a response sets another one. If it is
    None, the responses have no such header, because waiting does not help. `only_sessions` is True if only clients that
    open a session, by WebSocket or event stream, can have the problem.
    """

    code: str
    status: int
    title: str
    meaning: str
    advice: str
    retry_after: int | None = None
    only_sessions: bool = False


_KINDS: Final = (
    Kind(
        "invalid_request",
        400,
        "Invalid request",
        "The request is malformed: a parameter or a field of the body is missing or invalid, there are too many"
        " parameters, or the body is incomplete or not JSON in UTF-8.",
        "Correct the parameters or fields that `errors` names, or what `detail` names. The page at /schema describes"
        " each operation.",
    ),
    Kind(
        "unknown_parameter",
        400,
        "Unknown query parameter",
        "The query has a parameter that this operation does not have. The request is refused, because ignoring a"
        " misspelt filter would select too much.",
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
        "The token is malformed, is signed with another key, has another issuer or audience, or is not valid yet.",
        "Get a new token. If the new token is refused too, compare its issuer, audience and key with the server's"
        " settings.",
    ),
    Kind("token_expired", 401, "Token expired", "The token has expired.", "Get a new token and repeat the request."),
    Kind(
        "signed_out",
        401,
        "Signed out",
        "The user has signed out since this token was issued. A sign-out revokes all tokens that were issued to"
        " the user before it.",
        "Ask the user to sign in again.",
    ),
    Kind(
        "access_refused",
        403,
        "Access refused",
        "The caller is not allowed to use this operation.",
        "Use the token of a user who is allowed to use it. Repeating the request does not help.",
    ),
    Kind(
        "not_yours",
        403,
        "Not yours",
        "The request is for a user other than the token's user, or for a feed that the token gives no access to.",
        "Send the request for the token's user, or use a token that gives access to the feed.",
    ),
    Kind(
        "scope_missing",
        403,
        "Scope missing",
        "The token is valid, but does not contain the scope that this operation needs. `detail` names the scope.",
        "Get a token with the scope that `detail` names.",
    ),
    Kind(
        "origin_refused",
        403,
        "Origin refused",
        "A browser sent the request from a page of another origin. Pages of that origin may not connect, publish or"
        " change anything.",
        "If the page is yours, add its origin to HERALD_ORIGINS. For Herald's own page behind a proxy that changes the"
        " Host header, set HERALD_PUBLIC_URL.",
    ),
    Kind(
        "host_refused",
        421,
        "Host refused",
        "The request's `Host` header is not one of the host names that this server accepts.",
        "Use one of the host names in HERALD_HOSTS, or add this host name to that setting. If HERALD_HOSTS is not set"
        " and HERALD_ORIGINS is `loopback`, as in `herald dev`, the accepted names are `localhost`, `127.0.0.1` and"
        " `[::1]`.",
    ),
    Kind(
        "not_found",
        404,
        "Not found",
        "Nothing exists at this address, or it belongs to another user.",
        "Check the path and the id. Repeating the request does not help.",
    ),
    Kind(
        "unknown_feed",
        404,
        "Unknown feed",
        "The parameter `feeds` contains a feed that does not exist, or that this endpoint does not serve. `detail`"
        " names the feed.",
        "Correct the name. The front page at / lists the feeds of each profile.",
        only_sessions=True,
    ),
    Kind(
        "method_not_allowed",
        405,
        "Method not allowed",
        "Something exists at this address, but it does not support the HTTP method of the request.",
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
        "Only a delivery that has failed, or that was skipped as `no_address`, can be retried. `delivery_status` is the"
        " current status of this delivery.",
        "Nothing needs to be done: a pending delivery will be sent, and a sent or skipped delivery is finished.",
    ),
    Kind(
        "too_large",
        413,
        "Too large",
        "The body is larger than the server accepts.",
        "Send less in one request, for example fewer events.",
    ),
    Kind(
        "address_too_long",
        414,
        "Address too long",
        "The path and the query together are longer than the server accepts.",
        "Use fewer filters, and send a token in the `Authorization` header.",
    ),
    Kind(
        "upgrade_required",
        426,
        "Upgrade required",
        "The port of the second WebSocket listener (HERALD_SOCKET_PORT) received a request that is no WebSocket"
        " handshake of version 13.",
        "Send HTTP requests to the main port (HERALD_PORT). If a proxy is in front, pass on the headers `Upgrade` and"
        " `Connection`.",
        only_sessions=True,
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
        "The request is well formed, but one of its values is invalid. `field` names the field, `detail` says what is"
        " wrong.",
        "Correct the value. If the request is repeated unchanged, it is refused again.",
    ),
    Kind(
        "too_many_requests",
        429,
        "Too many requests",
        "This user, or this token, has exceeded the rate limit of the server.",
        "Wait for the seconds in the `Retry-After` header, then send requests more slowly.",
        retry_after=1,
    ),
    Kind(
        "too_many_sessions",
        429,
        "Too many sessions",
        "This user has the maximum number of open connections to this node.",
        "Close a connection that is not needed, then connect again.",
        retry_after=5,
        only_sessions=True,
    ),
    Kind(
        "too_many_sessions_elsewhere",
        503,
        "Too many sessions on other nodes",
        "This user has the maximum number of open connections to all nodes together.",
        "Close a connection that is not needed, then connect again after the seconds in the `Retry-After` header: a"
        " connection to another node that has just ended may still be counted.",
        retry_after=2,
        only_sessions=True,
    ),
    Kind(
        "too_many_anonymous",
        503,
        "Too many anonymous connections",
        "This node has the maximum number of sessions without a user (HERALD_MAX_ANONYMOUS_SESSIONS), or of WebSockets"
        " that have not sent their token yet (HERALD_MAX_PENDING_SOCKETS).",
        "Connect again after the seconds in the `Retry-After` header, or send a token in the handshake.",
        retry_after=2,
        only_sessions=True,
    ),
    Kind(
        "node_full",
        503,
        "Node full",
        "This node has the maximum number of WebSockets that its limit of open files allows.",
        "Connect again after the seconds in the `Retry-After` header: another node may have capacity. If you operate"
        " the server, raise the limit of open files (ulimit -n, LimitNOFILE), or start another node.",
        retry_after=2,
        only_sessions=True,
    ),
    Kind(
        "internal",
        500,
        "Internal error",
        "An unexpected error occurred in Herald. The details are in the server's log: search it for the `trace_id` of"
        " the response.",
        "Repeat the request. If the error persists, report the `trace_id` to the operator of the server.",
    ),
    Kind(
        "draining",
        503,
        "Draining",
        "This node is shutting down and accepts no new clients.",
        "Connect again after the seconds in the `Retry-After` header: another node, or the restarted node, will"
        " respond.",
        retry_after=2,
        only_sessions=True,
    ),
    Kind(
        "unavailable",
        503,
        "Unavailable",
        "A service that Herald depends on is unavailable, such as the database. The request can be repeated safely.",
        "Repeat the request after the seconds in the `Retry-After` header; wait longer after each further failure.",
        retry_after=2,
    ),
)

KINDS: Final[Mapping[str, Kind]] = {kind.code: kind for kind in _KINDS}


def address_of(code: str) -> str:
    """Returns the path of the page about a problem, which is also the `type` in its responses: `"not_found"` ->
    `"/problems/not_found"`."""
    return f"/problems/{code}"
