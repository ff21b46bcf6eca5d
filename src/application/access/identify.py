"""Authentication: identifying a caller."""

from application.ports.clock import Clock
from application.ports.store import Store
from application.ports.token_verifier import TokenVerifier
from domain.errors import NotYours, TokenMissing
from domain.identity import NOBODY, Identity, check_not_signed_out
from domain.user_ids import as_user


class IdentifyCaller:
    """Identifies a caller by its token and by the user that it claims to be.

    With a verifier, only tokens are trusted, and `claimed` must be the user of the token. Without one (open mode),
    claims are trusted, tokens are ignored, and every caller has the scope `admin`. Raises TokenMissing, TokenInvalid,
    TokenExpired, NotYours, Unavailable; `current` also SignedOut and StoreUnavailable.
    """

    def __init__(self, verifier: TokenVerifier | None, store: Store, clock: Clock) -> None:
        self._verifier = verifier
        self._store = store
        self._clock = clock

    @property
    def fault(self) -> str | None:
        """Why no token can be verified yet; None if tokens can be verified, or if none are needed."""
        return self._verifier.fault if self._verifier is not None else None

    async def __call__(self, token: str | None, claimed: str | None) -> Identity:
        if claimed is not None and as_user(claimed) is None:
            raise NotYours("This is not a valid user id.")
        if self._verifier is None:
            return Identity(claimed, frozenset({"admin"}), issued_at=self._clock.now().timestamp(), claimed=True)
        if token is None:
            if claimed is not None:
                raise TokenMissing
            return NOBODY
        identity = await self._verifier.verify(token)
        if claimed is not None and claimed != identity.user:
            raise NotYours
        return identity

    async def current(self, token: str | None, claimed: str | None = None) -> Identity:
        """Identifies the caller of a single request. Raises SignedOut too, if the user has signed out since the token
        was issued: a sign-out closes open sessions, but each request must check for it."""
        identity = await self(token, claimed)
        if identity.user is not None:
            check_not_signed_out(identity, await self._store.not_before(identity.user))
        return identity
