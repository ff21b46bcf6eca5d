"""The address and the time of the next connection."""

import asyncio
import random
from collections.abc import Sequence

from herald_client.addresses import without_secrets
from herald_client.backoff import Backoff
from herald_client.connection_end import ConnectionEnded
from herald_client.objects import Away


class Reconnection:
    """Rotates through the addresses: starts with a random one, and moves to the next after each failure.

    The start is random, because otherwise all clients with the same list would connect to its first node.
    """

    def __init__(self, addresses: Sequence[str], backoff: Backoff) -> None:
        if not addresses:
            raise ValueError("There is no URL to listen at.")
        self._addresses = addresses
        self._backoff = backoff
        self._index = random.randrange(len(addresses))
        self._failures = 0
        self._due = 0.0

    @property
    def address(self) -> str:
        return self._addresses[self._index]

    @property
    def url(self) -> str:
        """The address without its secrets, for logs and messages."""
        return without_secrets(self.address)

    async def wait(self) -> None:
        """Wait until the next attempt is due. It can be cancelled and called again: the delay does not restart."""
        seconds = self._due - asyncio.get_running_loop().time()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def succeeded(self) -> None:
        """Reset the backoff: an entry or a heartbeat was received. A handshake or `hello` is not enough, because a
        service that fails right after them would still send them.
        """
        self._failures = 0

    def failed(self, end: ConnectionEnded) -> Away:
        self._failures += 1
        wait_s = end.wait_s or 0.0
        if end.wait_s is None or not end.is_jittered:
            wait_s += self._backoff.delay(self._failures)
        self._due = asyncio.get_running_loop().time() + wait_s
        failed_url = self.url
        self._index = (self._index + 1) % len(self._addresses)
        return Away(failed_url, end.reason, end.code, wait_s, self.url)
