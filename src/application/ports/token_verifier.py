"""The port for tokens: who someone is, by what they show."""

from typing import Protocol

from domain.identity import Identity


class TokenVerifier(Protocol):
    """For telling who a token speaks for.

    A token is believed only if its signature, algorithm, times, audience and issuer are as the settings demand;
    anything else, however malformed, raises TokenInvalid, a token whose time is over TokenExpired, and keys that
    can't be had right now (none cached, their server away) Unavailable. Nothing raised or logged holds the token.
    """

    async def verify(self, token: str) -> Identity: ...
