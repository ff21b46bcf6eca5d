"""Finds the token of a caller in the headers, the cookies and the query of a request or a WebSocket handshake."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

# The name of the cookie that may contain a token.
TOKEN_COOKIE: Final = "herald_token"  # noqa: S105 - a name


def read_cookies(lines: Iterable[str]) -> dict[str, str]:
    """Returns the values of all cookies, keyed by the name of the cookie. `lines` has the value of each `Cookie` header
    (RFC 6265, section 4.2). If a name occurs several times, its last value is returned. Quotes around a value are
    removed, and percent-encoding is decoded: `['a=1; b="x%20y"']` -> `{"a": "1", "b": "x y"}`.
    """
    # Backslashes are ordinary characters here. Libraries that treat them as escapes (RFC 2109) take minutes for a
    # header of 64 KB of backslashes.
    pairs = (pair.partition("=") for line in lines for pair in line.split(";"))
    return {name.strip(): unquote(_unquoted(value.strip())) for name, equals, value in pairs if equals}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def find_token(
    headers: Mapping[str, str], subprotocols: list[str], cookies: Mapping[str, str], query: Mapping[str, str]
) -> str | None:
    """Returns the token of a request or handshake; None if there is no token. Uses the first that is present: the
    `Authorization: Bearer` header, a subprotocol `bearer.<token>`, the query parameters `jwt` and `token`, and the
    cookie `herald_token`.

    The names in `headers` must be in lower case. If the `Authorization` header has another scheme than `Bearer`,
    returns the whole header. This is not a valid token, so the caller is refused instead of treated as anonymous.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        return token.strip() if scheme.lower() == "bearer" else authorization
    for protocol in subprotocols:
        if protocol.startswith("bearer."):
            return protocol.removeprefix("bearer.")
    return query.get("jwt") or query.get("token") or cookies.get(TOKEN_COOKIE) or None
