"""The token that the client sends to Herald: a fixed token, or the result of a function of the
caller (the provider)."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

# A token that expires within this time is not used for a new connection.
MIN_VALIDITY_S: Final = 5.0


class Token(msgspec.Struct, frozen=True):
    """A token that identifies the user to Herald. `expires_at` is in seconds since 1970, None if unknown. The client
    does not read the expiry from `text`, because `herald.v1` does not define the format of tokens."""

    text: str
    expires_at: float | None = None


TokenValue: TypeAlias = str | Token
TokenProvider: TypeAlias = Callable[[], TokenValue | Awaitable[TokenValue]]


class Tokens:
    """Holds the client's current token, and calls the provider (the caller's token function) for a new one: if there is
    no token yet, if Herald has refused the current one as expired, and before the current one expires. An exception of
    the provider is raised to the caller."""

    def __init__(self, source: TokenValue | TokenProvider | None) -> None:
        self._provider: TokenProvider | None = source if callable(source) else None
        self._token = None if source is None or callable(source) else _as_token(source)

    @property
    def are_renewable(self) -> bool:
        return self._provider is not None

    @property
    def last(self) -> Token | None:
        """The current token: the fixed token, or the one that the provider returned last; None if there is none."""
        return self._token

    async def current(self) -> str | None:
        """Returns the token for a new connection; None if the client has none. Calls the provider first if there is no
        token, or if the current one expires within 5 s."""
        if self._token is None or self.expires_in(self._token) < MIN_VALIDITY_S:
            await self.renew()
        return self._token.text if self._token is not None else None

    async def renew(self) -> Token | None:
        """Calls the provider, if there is one, and returns the current token. If the provider returns the current token
        again as a string, without an expiry, the expiry that Herald has reported for it is kept."""
        if self._provider is not None:
            value = self._provider()
            token = _as_token(await value if inspect.isawaitable(value) else value)
            if self._token is None or token.text != self._token.text or token.expires_at is not None:
                self._token = token
        return self._token

    def set_expiry(self, expires_at: float) -> None:
        """Records the expiry of the current token, in seconds since 1970, as Herald has reported it."""
        if self._token is not None:
            self._token = Token(self._token.text, expires_at)

    def discard_expired(self) -> bool:
        """Discards the current token if there is a provider, so that the next connection calls the provider for a new
        one. Called when Herald has refused the token as expired. Returns False if there is no provider, and therefore
        no way to get a new token."""
        if self._provider is not None:
            self._token = None
        return self.are_renewable

    def expires_in(self, token: Token) -> float:
        """Returns the seconds until the token expires, by the clock of this machine; infinity if
        the expiry is unknown."""
        return token.expires_at - time.time() if token.expires_at is not None else float("inf")


def _as_token(value: TokenValue) -> Token:
    return value if isinstance(value, Token) else Token(value)
