"""The delays before the attempts of a client to reconnect to its broker."""

import asyncio
import random
import time

from domain.backoff import Backoff


class ReconnectDelay:
    """Waits before each attempt to reconnect to a broker. The delay grows with each consecutive failure, as
    `backoff` defines. After a connection that lasted at least `stable_after_s` seconds, the delay is short again."""

    def __init__(self, backoff: Backoff, stable_after_s: float = 60.0) -> None:
        self._backoff = backoff
        self._stable_after_s = stable_after_s
        self._failures = 0
        self._connecting_since = time.monotonic()

    def connecting(self) -> None:
        """Records the time at which an attempt to connect begins, to measure how long its connection lasts. Call it
        before each attempt."""
        self._connecting_since = time.monotonic()

    async def wait(self) -> None:
        """Waits for the delay before the next attempt. Call it after an attempt has failed or a connection was lost."""
        lasted_s = time.monotonic() - self._connecting_since
        self._failures = self._failures + 1 if lasted_s < self._stable_after_s else 1
        await asyncio.sleep(self._backoff.delay_s(self._failures, random.random()))
