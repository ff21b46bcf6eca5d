"""The port for verifying tokens."""

from typing import Protocol

from domain.identity import Identity


class TokenVerifier(Protocol):
    """Identifies the caller that a token belongs to.

    A token is accepted only if its signature, algorithm, times, audience and issuer meet the settings. `verify` raises
    TokenInvalid for any other text, however malformed, and TokenExpired for an expired token. It raises Unavailable if
    the key of the token is unknown and can't be fetched now: the same token may be valid later. No exception or log
    line contains the token.

    `start` fetches the keys that verify tokens, in the background. `fault` says why no token can be verified yet; None
    once tokens can be verified.
    """

    def start(self) -> None: ...

    @property
    def fault(self) -> str | None: ...

    async def verify(self, token: str) -> Identity: ...
