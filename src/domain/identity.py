"""Identities of callers, their scopes, and which of them a sign-out ends."""

from datetime import datetime

import msgspec

from domain.caller_errors import ScopeMissing, SignedOut, TokenExpired, TokenMissing


class Identity(msgspec.Struct, frozen=True):
    """Who a caller is, and its scopes. `user` is None for an anonymous caller, who has access only to what is public.

    `issued_at` and `expires_at` are the times of the caller's token in seconds since 1970 (its `iat` and `exp`).
    Without `issued_at`, every sign-out of the user ends the identity; without `expires_at`, it does not expire.
    `claimed` is true if the caller has named its user without a token, which is possible only if Herald checks no
    tokens: a sign-out ends the sessions of such a caller, but it may connect again immediately. `token_id` identifies
    the token in rate limits, without revealing it.
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
    """Returns the identity if it has the scope, or the scope `admin`. Otherwise raises TokenMissing if the caller is
    anonymous, and ScopeMissing if it is not.
    """
    if not identity.may(scope):
        raise TokenMissing if identity.user is None else ScopeMissing(scope)
    return identity


def signed_out(issued_at: float | None, not_before: datetime | None) -> bool:
    """Returns whether the user's sign-out at `not_before` invalidates a token that was issued at `issued_at` (seconds
    since 1970). True if the token was issued before the sign-out or in the same second (times in tokens are whole
    seconds), or if `issued_at` is None. False if `not_before` is None.
    """
    if not_before is None:
        return False
    return issued_at is None or int(issued_at) <= int(not_before.timestamp())


def ended_by(identity: Identity, not_before: datetime, before: datetime | None) -> bool:
    """Returns whether the user's sign-out at `not_before` ends an open session of this identity. If the identity has a
    token, `signed_out` decides. If it has none (`claimed`), the session ends if the sign-out is later than `before`,
    the user's latest sign-out at the time when the session was opened (None if there was none).
    """
    if identity.claimed:
        return before is None or not_before > before
    return signed_out(identity.issued_at, not_before)


def check_not_signed_out(identity: Identity, not_before: datetime | None) -> None:
    """Checks the identity against its user's latest sign-out, at `not_before` (None if there was none). Raises
    SignedOut if the token was issued earlier. Raises TokenExpired if it was issued in the same second: the user may
    have signed in again within that second, so the client should get a new token. Raises nothing for a caller without a
    token.
    """
    if identity.user is None or identity.claimed or not_before is None:
        return
    if not signed_out(identity.issued_at, not_before):
        return
    if identity.issued_at is not None and int(identity.issued_at) == int(not_before.timestamp()):
        raise TokenExpired("The user has signed out in the second in which this token was issued: get a new one.")
    raise SignedOut
