"""Tokens: one that was given, or a provider of fresh ones."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

# Seconds before its end at which a token is not worth a new connection.
TOO_LATE: Final = 5.0


class Token(msgspec.Struct, frozen=True):
    """`expires_at` is seconds since 1970; None if it is not known. A token is never taken apart here: what is in it is
    between its issuer and the service."""

    text: str
    expires_at: float | None = None


Given: TypeAlias = str | Token
Provider: TypeAlias = Callable[[], Given | Awaitable[Given]]


class Tokens:
    """The token to show. A provider is asked when there is none, when the one there is was refused as expired, and
    before it ends; what it raises goes to whoever listens."""

    def __init__(self, source: Given | Provider | None) -> None:
        self._provider: Provider | None = source if callable(source) else None
        self._token = None if source is None or callable(source) else _as_token(source)

    @property
    def are_renewable(self) -> bool:
        return self._provider is not None

    @property
    def shown(self) -> Token | None:
        """The one that was shown last."""
        return self._token

    async def current(self) -> str | None:
        """A token for a new connection."""
        if self._token is None or self.ends_in(self._token) < TOO_LATE:
            await self.renew()
        return self._token.text if self._token is not None else None

    async def renew(self) -> Token | None:
        """Asks the provider, if there is one. What is known of a token's end is kept where it gives the same again."""
        if self._provider is not None:
            given = self._provider()
            token = _as_token(await given if inspect.isawaitable(given) else given)
            if self._token is None or token.text != self._token.text or token.expires_at is not None:
                self._token = token
        return self._token

    def learn(self, expires_at: float) -> None:
        """What the service says of the end of the one that was shown."""
        if self._token is not None:
            self._token = Token(self._token.text, expires_at)

    def expired(self) -> bool:
        """The service says that the token has expired. Returns whether there can be another."""
        if self._provider is not None:
            self._token = None
        return self.are_renewable

    def ends_in(self, token: Token) -> float:
        """Seconds, by this machine's clock."""
        return token.expires_at - time.time() if token.expires_at is not None else float("inf")


def _as_token(given: Given) -> Token:
    return given if isinstance(given, Token) else Token(given)
