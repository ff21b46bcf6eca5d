"""Who is calling, and what is open to them."""

from datetime import datetime

import msgspec

from domain.errors import ScopeMissing, SignedOut, TokenExpired, TokenMissing


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


def require_scope(identity: Identity, scope: str) -> Identity:
    """The identity, if it has the scope. Raises TokenMissing for an anonymous caller, ScopeMissing for others."""
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


def check_not_signed_out(identity: Identity, not_before: datetime | None) -> None:
    """Refuses an identity that a sign-out ended: SignedOut; or TokenExpired for one of the sign-out's very second,
    since its owner may have signed in again within it and only a fresh token can tell."""
    if identity.user is None or identity.claimed or not_before is None:
        return
    if not signed_out(identity.issued_at, not_before):
        return
    if identity.issued_at is not None and int(identity.issued_at) == int(not_before.timestamp()):
        raise TokenExpired("This token is not newer than a sign-out: get a new one.")
    raise SignedOut
