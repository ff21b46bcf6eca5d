"""Tokens: a fixed token, or a provider, which is a function that returns new tokens."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

# A token that expires within this time is not used for a new connection.
MIN_VALIDITY_S: Final = 5.0


class Token(msgspec.Struct, frozen=True):
    """A token. `expires_at` is in seconds since 1970, None if unknown. The client does not parse `text`, because the
    format of tokens is not part of the protocol.
    """

    text: str
    expires_at: float | None = None


TokenValue: TypeAlias = str | Token
TokenProvider: TypeAlias = Callable[[], TokenValue | Awaitable[TokenValue]]


class Tokens:
    """Holds the token to send, and calls the provider for a new one: if there is no token yet, if the service has
    refused the last one as expired, and before the last one expires. Exceptions of the provider are raised to the
    caller.
    """

    def __init__(self, source: TokenValue | TokenProvider | None) -> None:
        self._provider: TokenProvider | None = source if callable(source) else None
        self._token = None if source is None or callable(source) else _as_token(source)

    @property
    def are_renewable(self) -> bool:
        return self._provider is not None

    @property
    def last(self) -> Token | None:
        """The token that was sent last."""
        return self._token

    async def current(self) -> str | None:
        """Returns a token for a new connection; None if the client has no token."""
        if self._token is None or self.expires_in(self._token) < MIN_VALIDITY_S:
            await self.renew()
        return self._token.text if self._token is not None else None

    async def renew(self) -> Token | None:
        """Calls the provider, if there is one, and returns the current token. If the provider returns the same token
        without an expiry, the known expiry stays."""
        if self._provider is not None:
            value = self._provider()
            token = _as_token(await value if inspect.isawaitable(value) else value)
            if self._token is None or token.text != self._token.text or token.expires_at is not None:
                self._token = token
        return self._token

    def set_expiry(self, expires_at: float) -> None:
        """Sets the expiry of the last token, in seconds since 1970, as reported by the service."""
        if self._token is not None:
            self._token = Token(self._token.text, expires_at)

    def expired(self) -> bool:
        """Discards the last token, if there is a provider for another one. Returns whether there is a provider. Called
        when the service has refused the token as expired."""
        if self._provider is not None:
            self._token = None
        return self.are_renewable

    def expires_in(self, token: Token) -> float:
        """Returns the seconds until the token expires, by this machine's clock; infinity if its expiry is unknown."""
        return token.expires_at - time.time() if token.expires_at is not None else float("inf")


def _as_token(value: TokenValue) -> Token:
    return value if isinstance(value, Token) else Token(value)
