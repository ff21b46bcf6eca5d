"""Where to connect next, and when."""

import asyncio
import random
from collections.abc import Sequence

from herald_client.addresses import shown
from herald_client.backoff import Backoff
from herald_client.endings import Ended
from herald_client.objects import Away


class Attempts:
    """Goes round the addresses: begins with any, and after a failure takes the next.

    With any, not the first: else all clients that were told the same list would sit on one node.
    """

    def __init__(self, addresses: Sequence[str], backoff: Backoff) -> None:
        if not addresses:
            raise ValueError("There is no URL to listen at.")
        self._addresses = addresses
        self._backoff = backoff
        self._turn = random.randrange(len(addresses))
        self._failures = 0
        self._due = 0.0

    @property
    def address(self) -> str:
        return self._addresses[self._turn]

    @property
    def url(self) -> str:
        """The same as people may see it."""
        return shown(self.address)

    async def wait(self) -> None:
        """Until the next attempt is due. Cancelled and called again, it does not wait longer."""
        seconds = self._due - asyncio.get_running_loop().time()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def succeeded(self) -> None:
        """Something came: not a handshake or `hello`, which a service that fails right behind them would still say,
        but what clients connect for, or a heartbeat."""
        self._failures = 0

    def failed(self, end: Ended) -> Away:
        self._failures += 1
        wait = end.wait or 0.0
        if end.wait is None or not end.is_spread:
            wait += self._backoff.delay(self._failures)
        self._due = asyncio.get_running_loop().time() + wait
        left = self.url
        self._turn = (self._turn + 1) % len(self._addresses)
        return Away(left, end.reason, end.code, wait, self.url)
