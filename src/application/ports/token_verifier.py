"""The port for tokens: who someone is, by what they show."""

from typing import Protocol

from domain.identity import Identity


class TokenVerifier(Protocol):
    """For telling who a token speaks for.

    A token is believed only if its signature, algorithm, times, audience and issuer are as the settings demand;
    anything else, however malformed, raises TokenInvalid, a token whose time is over TokenExpired. A token whose key is
    not known and can't be looked up right now raises Unavailable: the same token may be valid later. Nothing raised or
    logged holds the token.

    `start` fetches what is needed to verify tokens, in the background. `fault` says why no token can be verified at
    all so far, None once one can.
    """

    def start(self) -> None: ...

    @property
    def fault(self) -> str | None: ...

    async def verify(self, token: str) -> Identity: ...
