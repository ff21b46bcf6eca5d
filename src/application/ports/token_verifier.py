"""The port for verifying tokens."""

from typing import Protocol

from domain.identity import Identity


class TokenVerifier(Protocol):
    """Verifies tokens and determines the identity of their callers.

    A token is accepted if its signature, algorithm, times, audience and issuer are as the settings require. No
    exception and no log line contains a token.
    """

    def start(self) -> None:
        """Starts to fetch the keys that verify tokens, in the background. Called once, before the first `verify`."""

    @property
    def fault(self) -> str | None:
        """The reason why no token can be verified yet, for example that the keys have not been fetched; None once they
        have been."""

    async def verify(self, token: str) -> Identity:
        """Returns the identity of the token's caller. Raises TokenExpired for an expired token, and TokenInvalid for
        any other text that is not an acceptable token. Raises Unavailable if the key of the token is unknown and can't
        be fetched now: the same token may be accepted later."""
