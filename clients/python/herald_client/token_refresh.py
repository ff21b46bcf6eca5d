"""Refreshes the token of an open connection before it expires, because Herald closes the connection at that time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

import msgspec

from herald_client.connection_timing import DEFAULT_TIMING, Timing
from herald_client.tokens import Tokens

log = logging.getLogger(__name__)

# A token is refreshed when three quarters of its remaining time are over, but not earlier than this many seconds before
# it expires. That leaves time for a second call of the provider, and for clock differences.
MAX_EARLY_S: Final = 60.0


class TokenRefresh:
    """Sends a new token on an open connection before the current one expires: when three quarters of the current
    token's remaining time are over, or 60 s before it expires, whichever is later. Does nothing for a fixed token: only
    a token function can return a new one."""

    def __init__(
        self, tokens: Tokens, send: Callable[[str], Coroutine[None, None, None]], timing: Timing = DEFAULT_TIMING
    ) -> None:
        self._timing = timing
        self._tokens = tokens
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_unchecked = False  # whether the service could not check the token that was sent last

    def start(self) -> None:
        """Schedules the first refresh. Called when `hello` has been received. If the expiry of the current token is not
        known, sends the token once more, because Herald's response contains the expiry."""
        if not self._tokens.are_renewable:
            return
        token = self._tokens.last
        if token is not None and token.expires_at is None:
            self._run(self._send_token(token.text))
        else:
            self._schedule()

    def accepted(self, expires_at: float | None) -> None:
        """Records the token's expiry and schedules the next refresh. Called when Herald has accepted a token that was
        sent on the open connection. `expires_at` is in seconds since 1970; with None, the session does not end when the
        token expires, and no refresh is scheduled."""
        if expires_at is not None:
            self._tokens.set_expiry(expires_at)
            self._schedule()

    def unchecked(self) -> None:
        """Schedules another refresh in `Timing.refresh_retry_s` (5 s). Called when Herald reports that it can't verify
        the token now."""
        if self._tokens.are_renewable:
            self._is_unchecked = True
            self._refresh_in(self._timing.refresh_retry_s)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _schedule(self) -> None:
        token = self._tokens.last
        if token is None or token.expires_at is None:
            return
        left = self._tokens.expires_in(token)
        self._refresh_in(max(self._timing.min_refresh_pause_s, left - min(MAX_EARLY_S, left / 4)))

    def _refresh_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, lambda: self._run(self._refresh()))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work)

    async def _refresh(self) -> None:
        before = self._tokens.last
        try:
            token = await self._tokens.renew()
        except Exception as error:
            # The old token is valid until it expires, so the provider is called again until then. Only the type of the
            # exception is logged, because its text may contain secrets, such as a request to the issuer.
            retry_s = self._timing.refresh_retry_s
            log.warning("No new token (%s); trying again in %g s", type(error).__name__, retry_s)
            self._refresh_in(self._timing.refresh_retry_s)
            return
        is_known = before is not None and token is not None and token.text == before.text
        if token is None or (is_known and not self._is_unchecked):
            # The provider has not returned a new token.
            self._refresh_in(self._timing.refresh_retry_s)
        else:
            await self._send_token(token.text)

    async def _send_token(self, token: str) -> None:
        self._is_unchecked = False
        await self._send(msgspec.json.encode({"auth": token}).decode())
