"""The address of the next connection, and the delay before it."""

import asyncio
import random
from collections.abc import Sequence

from herald_client.addresses import without_secrets
from herald_client.backoff import Backoff
from herald_client.connection_end import ConnectionEnded
from herald_client.objects import Away


class Reconnection:
    """Selects the address and the time of each connection. It starts with a random address, and moves to the next one
    after each failure.

    The first address is random, because otherwise all clients with the same list would connect to its first node.
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
        """The address without its query and credentials, for logs and messages."""
        return without_secrets(self.address)

    async def wait(self) -> None:
        """Waits until the next attempt is due. If it is cancelled and called again, it waits only for the rest of the
        delay."""
        seconds = self._due - asyncio.get_running_loop().time()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def succeeded(self) -> None:
        """Resets the backoff. Called when an entry or a heartbeat was received, not after a handshake or `hello`: a
        service that fails right after these would be reconnected to without backoff.
        """
        self._failures = 0

    def failed(self, end: ConnectionEnded) -> Away:
        """Selects the next address and the delay before the next attempt. Returns them as an Away."""
        self._failures += 1
        wait_s = end.wait_s or 0.0
        if end.wait_s is None or not end.is_jittered:
            wait_s += self._backoff.delay(self._failures)
        self._due = asyncio.get_running_loop().time() + wait_s
        failed_url = self.url
        self._index = (self._index + 1) % len(self._addresses)
        return Away(failed_url, end.reason, end.code, wait_s, self.url)
