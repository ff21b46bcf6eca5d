"""Every problem that Herald answers with, in one table: the answers, the pages under `/problems` and the OpenAPI
document are made from it."""

from collections.abc import Mapping
from typing import Final

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem. `retry_after` is in seconds, where trying the same again can help: what is answered unless
    the case itself knows better."""

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
        "A parameter has a value that it can't have, or the request is no HTTP that makes sense here.",
        "Mend the parameters that `errors` names; the document at /schema says what each may be.",
    ),
    Kind(
        "unknown_parameter",
        400,
        "Unknown query parameter",
        "The query has a parameter that this operation does not know. A misspelt filter that is passed over would"
        " answer with more than was asked for.",
        "Leave out or correct the parameters that `errors` names.",
    ),
    Kind(
        "token_missing",
        401,
        "Token missing",
        "This is open only to those who say who they are.",
        "Send `Authorization: Bearer <token>`.",
    ),
    Kind(
        "token_invalid",
        401,
        "Token invalid",
        "The token can't be believed: it is malformed, signed by someone else, for another audience, or not valid yet.",
        "Get a new token. If that one is refused as well, compare issuer, audience and key with the server's settings.",
    ),
    Kind("token_expired", 401, "Token expired", "The token was good once.", "Get a fresh token and ask again."),
    Kind(
        "signed_out",
        401,
        "Signed out",
        "The user has signed out since this token was issued, which ended all of their tokens.",
        "Have the user sign in again.",
    ),
    Kind(
        "access_refused",
        403,
        "Access refused",
        "This is not open to you.",
        "Don't try again with the same identity.",
    ),
    Kind(
        "not_yours",
        403,
        "Not yours",
        "The request names a user, or a feed, that the token does not speak for.",
        "Ask for what belongs to the token's own user (`sub`).",
    ),
    Kind(
        "scope_missing",
        403,
        "Scope missing",
        "The token is good, but lacks the scope that this operation needs; `detail` names it.",
        "Get a token with that scope.",
    ),
    Kind(
        "origin_refused",
        403,
        "Origin refused",
        "A page of this origin may not connect, publish or change anything.",
        "Add the page's origin to HERALD_ORIGINS, if it is one of yours. For Herald's own page behind a proxy that"
        " changes the Host header, set HERALD_PUBLIC_URL.",
    ),
    Kind(
        "host_refused",
        421,
        "Host refused",
        "The request's `Host` header names a host that this server does not answer for.",
        "Use one of the names in HERALD_HOSTS, or add this one to them. Where HERALD_HOSTS is not set and"
        " HERALD_ORIGINS is `loopback`, as in `herald dev`, these are `localhost`, `127.0.0.1` and `[::1]`.",
    ),
    Kind(
        "not_found",
        404,
        "Not found",
        "There is nothing at this address. What belongs to someone else is not there either.",
        "Check the address and the id; don't try again.",
    ),
    Kind(
        "unknown_feed",
        404,
        "Unknown feed",
        "`feeds` has a name that no feed has, or none of those that this endpoint shows; `detail` repeats it.",
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
        "The request's body did not arrive in time: all of it has to, within 30 s.",
        "Send the request again, or less at once.",
    ),
    Kind(
        "not_failed",
        409,
        "Not failed",
        "Only a delivery that has failed can be retried. `delivery_status` says what this one is.",
        "Leave it: what is pending will be tried, and what was sent or skipped is done with.",
    ),
    Kind("too_large", 413, "Too large", "The body is larger than the server takes.", "Send less at once."),
    Kind(
        "address_too_long",
        414,
        "Address too long",
        "Path and query together are longer than the server takes.",
        "Filter by less at once; send a token in the `Authorization` header.",
    ),
    Kind(
        "headers_too_large",
        431,
        "Headers too large",
        "The request's headers together are larger than the server takes.",
        "Send fewer cookies, or a smaller token.",
    ),
    Kind(
        "unsupported_media_type",
        415,
        "Unsupported media type",
        "The body is of a media type that this operation does not read.",
        "Send JSON, with `Content-Type: application/json`.",
    ),
    Kind(
        "invalid_input",
        422,
        "Invalid input",
        "The request is well formed, but something in it can't be. `field` says where, `detail` why.",
        "Mend the request; the same one will be refused again.",
    ),
    Kind(
        "too_many_requests",
        429,
        "Too many requests",
        "This user, or this token, asks more often than the server allows.",
        "Wait for the seconds that `Retry-After` gives, then go on, more slowly.",
        retry_after=1,
    ),
    Kind(
        "too_many_sessions",
        429,
        "Too many sessions",
        "This user has as many connections open as one may have.",
        "Close one that is not needed, then connect again.",
        retry_after=5,
    ),
    Kind(
        "too_many_sessions_elsewhere",
        503,
        "Too many sessions on other nodes",
        "This user has as many connections open as one may have, if those on other nodes are all still there.",
        "Connect again after the seconds that `Retry-After` gives: a node learns a moment late that one has ended.",
        retry_after=2,
    ),
    Kind(
        "too_many_anonymous",
        503,
        "Too many anonymous connections",
        "This node has as many connections without a token as it may have: sessions without a user"
        " (HERALD_MAX_ANONYMOUS_SESSIONS), or sockets that have yet to show a token (HERALD_MAX_PENDING_SOCKETS).",
        "Connect again after the seconds that `Retry-After` gives, or with a token in the handshake.",
        retry_after=2,
    ),
    Kind(
        "node_full",
        503,
        "Node full",
        "This node has as many WebSockets as it has file descriptors for.",
        "Connect again after the seconds that `Retry-After` gives: another node may have room. If you run the server:"
        " raise the limit of open files (ulimit -n, LimitNOFILE), or start another node.",
        retry_after=2,
    ),
    Kind(
        "internal",
        500,
        "Internal error",
        "Something went wrong on Herald's side. The server's log has the whole story, under the `trace_id` of the"
        " answer.",
        "Try again; if it stays, tell whoever runs the server the `trace_id`.",
    ),
    Kind(
        "draining",
        503,
        "Draining",
        "This node is about to leave and takes no new clients.",
        "Connect again: another node, or the next process, will answer.",
        retry_after=2,
    ),
    Kind(
        "unavailable",
        503,
        "Unavailable",
        "Something that Herald depends on is away. Nothing was done, or what was done is safe to repeat.",
        "Repeat the request after `Retry-After`, with backoff.",
        retry_after=2,
    ),
)

KINDS: Final[Mapping[str, Kind]] = {kind.code: kind for kind in _KINDS}


def address_of(code: str) -> str:
    """The `type` of a problem: the page about it, relative to the service's own address."""
    return f"/problems/{code}"
