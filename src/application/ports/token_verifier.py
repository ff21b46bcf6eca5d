"""The port for tokens: who someone is, by what they show."""

from typing import Protocol

from domain.identity import Identity


class TokenVerifier(Protocol):
    """For telling who a token speaks for.

    A token is believed only if its signature, algorithm, times, audience and issuer are as the settings demand;
    anything else, however malformed, raises TokenInvalid, a token whose time is over TokenExpired. A token whose key is
    not known and can't be looked up right now raises Unavailable: the same token may be valid later. Nothing raised or
    logged holds the token.
    """

    async def verify(self, token: str) -> Identity: ...
