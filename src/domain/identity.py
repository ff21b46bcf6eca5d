"""The identity of a caller, its scopes, and the effect of a sign-out."""

from datetime import datetime

import msgspec

from domain.errors import ScopeMissing, SignedOut, TokenExpired, TokenMissing


class Identity(msgspec.Struct, frozen=True):
    """A caller. `user` is None for an anonymous caller, who has access only to what is public.

    `issued_at` and `expires_at` are seconds since 1970 (a token's `iat` and `exp`). Without `issued_at` the identity
    counts as older than any sign-out; without `expires_at` it does not expire. `claimed` means that the caller has
    named its user without a token: a sign-out ends its sessions, but it may reconnect immediately. `token_id`
    identifies the token without revealing it.
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


def require_scope(identity: Identity, scope: str) -> Identity:
    """Returns the identity if it has the scope. Otherwise raises TokenMissing for an anonymous caller, and ScopeMissing
    for others.
    """
    if not identity.may(scope):
        raise TokenMissing if identity.user is None else ScopeMissing(scope)
    return identity


def signed_out(issued_at: float | None, not_before: datetime | None) -> bool:
    """Returns whether a sign-out at `not_before` ends an identity issued at `issued_at`.

    Tokens carry whole seconds, so an identity issued in the same second as the sign-out is ended too.
    """
    if not_before is None:
        return False
    return issued_at is None or int(issued_at) <= int(not_before.timestamp())


def ended_by(identity: Identity, not_before: datetime, before: datetime | None) -> bool:
    """Returns whether a sign-out ends a session of this identity. `before` is the latest sign-out that was stored when
    the session was opened.

    A claimed identity has no token with an issue time, so any sign-out later than `before` ends its session.
    """
    if identity.claimed:
        return before is None or not_before > before
    return signed_out(identity.issued_at, not_before)


def check_not_signed_out(identity: Identity, not_before: datetime | None) -> None:
    """Raises SignedOut for an identity that a sign-out ended. Raises TokenExpired instead if the identity was issued in
    the same second as the sign-out: the user may have signed in again within that second, and only a new token can
    prove that.
    """
    if identity.user is None or identity.claimed or not_before is None:
        return
    if not signed_out(identity.issued_at, not_before):
        return
    if identity.issued_at is not None and int(identity.issued_at) == int(not_before.timestamp()):
        raise TokenExpired("The user has signed out in the second in which this token was issued: get a new one.")
    raise SignedOut
