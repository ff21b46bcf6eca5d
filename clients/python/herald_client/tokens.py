"""Tokens: a fixed one, or a provider of new ones."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

# A token that expires within this time is not used for a new connection.
MIN_VALIDITY_S: Final = 5.0


class Token(msgspec.Struct, frozen=True):
    """A token. `expires_at` is in seconds since 1970, None if unknown. The client does not parse tokens: their content
    is between issuer and service.
    """

    text: str
    expires_at: float | None = None


TokenValue: TypeAlias = str | Token
TokenProvider: TypeAlias = Callable[[], TokenValue | Awaitable[TokenValue]]


class Tokens:
    """The token to send. A provider is called if there is no token, if the service has rejected the last one as
    expired, and before it expires. Exceptions of the provider are raised to the caller of the listener.
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
        """A token for a new connection."""
        if self._token is None or self.expires_in(self._token) < MIN_VALIDITY_S:
            await self.renew()
        return self._token.text if self._token is not None else None

    async def renew(self) -> Token | None:
        """Call the provider, if there is one. If it returns the same token, a known expiry is kept."""
        if self._provider is not None:
            value = self._provider()
            token = _as_token(await value if inspect.isawaitable(value) else value)
            if self._token is None or token.text != self._token.text or token.expires_at is not None:
                self._token = token
        return self._token

    def set_expiry(self, expires_at: float) -> None:
        """Set the expiry of the last token, as reported by the service."""
        if self._token is not None:
            self._token = Token(self._token.text, expires_at)

    def expired(self) -> bool:
        """The service has rejected the last token as expired. Returns whether there can be another one."""
        if self._provider is not None:
            self._token = None
        return self.are_renewable

    def expires_in(self, token: Token) -> float:
        """The remaining time in seconds, by this machine's clock."""
        return token.expires_at - time.time() if token.expires_at is not None else float("inf")


def _as_token(value: TokenValue) -> Token:
    return value if isinstance(value, Token) else Token(value)
