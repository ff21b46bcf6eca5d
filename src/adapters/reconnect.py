"""Delays between the connection attempts of a client that always reconnects."""

import asyncio
import random
import time

from domain.backoff import Backoff


class ReconnectDelay:
    """Delays the next attempt to connect, longer after each consecutive failure. A connection that lasted at least
    `stable_after_s` seconds resets the count of failures."""

    def __init__(self, backoff: Backoff, stable_after_s: float = 60.0) -> None:
        self._backoff = backoff
        self._stable_after_s = stable_after_s
        self._failures = 0
        self._connecting_since = time.monotonic()

    def connecting(self) -> None:
        """Notes the time at which an attempt to connect begins. Call it before each attempt."""
        self._connecting_since = time.monotonic()

    async def wait(self) -> None:
        """Waits until the next attempt may begin. Call it after an attempt has failed or a connection was lost."""
        lasted_s = time.monotonic() - self._connecting_since
        self._failures = self._failures + 1 if lasted_s < self._stable_after_s else 1
        await asyncio.sleep(self._backoff.delay_s(self._failures, random.random()))
