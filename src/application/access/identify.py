"""Authentication: identifying the caller of a request."""

from application.ports.clock import Clock
from application.ports.store import Store
from application.ports.token_verifier import TokenVerifier
from domain.caller_errors import NotYours, TokenMissing
from domain.identity import NOBODY, Identity, check_not_signed_out
from domain.user_ids import as_user


class IdentifyCaller:
    """Determines the identity of a caller from the token and from the user id that the caller has sent.

    With a verifier (HERALD_AUTH=jwt), the token decides; a user id, if sent, must be that of the token's user. A caller
    without token and user id is anonymous.
    Without a verifier (HERALD_AUTH=open), the user id is accepted as sent, the token is ignored, and every caller has
    the scope `admin`.
    """

    def __init__(self, verifier: TokenVerifier | None, store: Store, clock: Clock) -> None:
        self._verifier = verifier
        self._store = store
        self._clock = clock

    @property
    def fault(self) -> str | None:
        """The reason why no token can be verified, for example that the keys have not been fetched yet. None if tokens
        can be verified, and if there is no verifier."""
        return self._verifier.fault if self._verifier is not None else None

    async def __call__(self, token: str | None, claimed: str | None) -> Identity:
        """Returns the identity of the caller. `claimed` is the user id that the caller has sent. Does not check for
        sign-outs.

        Raises NotYours if `claimed` is not a valid user id. With a verifier, also raises NotYours if `claimed` is not
        the token's user, TokenMissing for a user id without a token, TokenInvalid or TokenExpired for a refused token,
        and Unavailable if the token can't be verified now.
        """
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
        """Returns the identity of the caller, as `__call__` does, but raises SignedOut if the user has signed out since
        the token was issued, and StoreUnavailable if that can't be read. Used for single HTTP requests; for sessions,
        the hub checks sign-outs."""
        identity = await self(token, claimed)
        if identity.user is not None:
            check_not_signed_out(identity, await self._store.not_before(identity.user))
        return identity
