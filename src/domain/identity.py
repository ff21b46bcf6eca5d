"""Who is calling, and what is open to them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

import msgspec

from domain.errors import NotYours, ScopeMissing, SignedOut, TokenExpired, TokenMissing

# The cookie that may hold a token.
TOKEN_COOKIE: Final = "herald_token"  # noqa: S105 - a name


class Identity(msgspec.Struct, frozen=True):
    """A caller. `user` is None for nobody in particular, who may have what is public.

    `issued_at` and `expires_at` are seconds since 1970 (a token's `iat` and `exp`). Without `issued_at` the identity
    counts as older than any sign-out; without `expires_at` it does not end by itself. Who is only
    `claimed`, without a token, loses its sessions by a sign-out, and may come back at once. `token_id` names the token,
    without telling it.
    """

    user: str | None = None
    scopes: frozenset[str] = frozenset()
    issued_at: float | None = None
    expires_at: float | None = None
    claimed: bool = False
    token_id: str | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


NOBODY = Identity()


def own(identity: Identity, user: str) -> Identity:
    """The identity, if `user` is its own; else TokenMissing or NotYours."""
    if identity.user is None:
        raise TokenMissing
    if identity.user != user:
        raise NotYours
    return identity


def scoped(identity: Identity, scope: str) -> Identity:
    """The identity, if it has the scope; else TokenMissing or ScopeMissing."""
    if not identity.may(scope):
        raise TokenMissing if identity.user is None else ScopeMissing(scope)
    return identity


def signed_out(issued_at: float | None, not_before: datetime | None) -> bool:
    """Whether a sign-out at `not_before` ends what was issued at `issued_at`.

    Tokens carry whole seconds, so whatever was issued within the sign-out's own second ends with it.
    """
    if not_before is None:
        return False
    return issued_at is None or int(issued_at) <= int(not_before.timestamp())


def ended_by(identity: Identity, not_before: datetime, before: datetime | None) -> bool:
    """Whether a sign-out ends a session of this identity that knew of the sign-out `before` when it was opened.

    A session that is only claimed has no token to tell its age by: any later sign-out ends it, whatever clocks say.
    """
    if identity.claimed:
        return before is None or not_before > before
    return signed_out(identity.issued_at, not_before)


def admit(identity: Identity, not_before: datetime | None) -> None:
    """Refuses an identity that a sign-out ended: SignedOut; or TokenExpired for one of the sign-out's very second,
    since its owner may have signed in again within it and only a fresh token can tell."""
    if identity.user is None or identity.claimed or not_before is None:
        return
    if not signed_out(identity.issued_at, not_before):
        return
    if identity.issued_at is not None and int(identity.issued_at) == int(not_before.timestamp()):
        raise TokenExpired("This token is as old as a sign-out: get a fresh one and come back.")
    raise SignedOut


def read_cookies(lines: Iterable[str]) -> dict[str, str]:
    """The cookies in the lines of a Cookie header (RFC 6265, section 4.2), by name; the last of a name counts. Quotes
    around a value and percent-encoding are removed. Backslashes escape nothing: libraries that follow RFC 2109 there
    take minutes for 64 KB of them."""
    pairs = (pair.partition("=") for line in lines for pair in line.split(";"))
    return {name.strip(): unquote(_unquoted(value.strip())) for name, equals, value in pairs if equals}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def find_token(
    headers: Mapping[str, str], subprotocols: list[str], cookies: Mapping[str, str], query: Mapping[str, str]
) -> str | None:
    """The token that a handshake or request shows, looked for where design and habit put it, most deliberate first.

    Header names in lower case. An `Authorization` header of another scheme is a token too, an invalid one: someone
    who shows credentials must not be taken for nobody.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        return token.strip() if scheme.lower() == "bearer" else authorization
    for protocol in subprotocols:
        if protocol.startswith("bearer."):
            return protocol.removeprefix("bearer.")
    return query.get("jwt") or query.get("token") or cookies.get(TOKEN_COOKIE) or None
