"""A fresh token while the connection lasts, so that nobody is sent away for an old one."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

import msgspec

from herald_client.tokens import Tokens

log = logging.getLogger(__name__)

# A token is renewed a quarter of its remaining time before its end, but not more than this many seconds: enough for a
# provider that has to try twice, and for clocks that differ.
EARLIEST: Final = 60.0

# Seconds between two attempts at least.
PAUSE: Final = 1.0

# Seconds until another attempt, where the provider fails or the service can't check a token now.
RETRY: Final = 5.0


class Renewal:
    """Shows the service a fresh token of the provider's before the old one ends. Between two, it is a timer."""

    def __init__(self, tokens: Tokens, send: Callable[[str], Coroutine[None, None, None]]) -> None:
        self._tokens = tokens
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_unchecked = False  # whether the service could not check the one that was shown last

    def begin(self) -> None:
        """At each `hello`. Where nobody has said when the token ends, the service is asked, by showing it again."""
        if not self._tokens.are_renewable:
            return
        token = self._tokens.shown
        if token is not None and token.expires_at is None:
            self._start(self._show(token.text))
        else:
            self._schedule()

    def answered(self, expires_at: float | None) -> None:
        """The service has taken the token; None: the session does not end with it."""
        if expires_at is not None:
            self._tokens.learn(expires_at)
            self._schedule()

    def postponed(self) -> None:
        """The service can't check it now."""
        if self._tokens.are_renewable:
            self._is_unchecked = True
            self._in(RETRY)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _schedule(self) -> None:
        token = self._tokens.shown
        if token is None or token.expires_at is None:
            return
        left = self._tokens.ends_in(token)
        self._in(max(PAUSE, left - min(EARLIEST, left / 4)))

    def _in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, lambda: self._start(self._renew()))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work)

    async def _renew(self) -> None:
        before = self._tokens.shown
        try:
            token = await self._tokens.renew()
        except Exception as fault:
            # The connection is there, and stays until the old token ends: the provider has that long to recover. Of
            # what it raised only the kind: an issuer's URL, or what was sent to it, may be in its words.
            log.warning("No fresh token (%s); trying again in %g s", type(fault).__name__, RETRY)
            self._in(RETRY)
            return
        is_known = before is not None and token is not None and token.text == before.text
        if token is None or (is_known and not self._is_unchecked):
            # The provider has none that is fresh yet.
            self._in(RETRY)
        else:
            await self._show(token.text)

    async def _show(self, token: str) -> None:
        self._is_unchecked = False
        await self._send(msgspec.json.encode({"auth": token}).decode())
