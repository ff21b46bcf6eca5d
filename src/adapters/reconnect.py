"""Delays between the connections of a client that reconnects for ever."""

import asyncio
import random
import time

from domain.backoff import Backoff


class ReconnectDelay:
    """Waits between attempts to connect, longer after each failure in a row. A connection that lasted for
    `stable_after_s` ends the row."""

    def __init__(self, backoff: Backoff, stable_after_s: float = 60.0) -> None:
        self._backoff = backoff
        self._stable_after_s = stable_after_s
        self._failures = 0
        self._connecting_since = time.monotonic()

    def connecting(self) -> None:
        """To be called when an attempt begins."""
        self._connecting_since = time.monotonic()

    async def wait(self) -> None:
        """To be called after an attempt has failed, or its connection was lost."""
        lasted_s = time.monotonic() - self._connecting_since
        self._failures = self._failures + 1 if lasted_s < self._stable_after_s else 1
        await asyncio.sleep(self._backoff.delay_s(self._failures, random.random()))
