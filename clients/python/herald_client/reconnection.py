"""Selects the address of the next connection and the delay before it."""

import asyncio
import random
from collections.abc import Sequence

from herald_client.addresses import without_secrets
from herald_client.backoff import Backoff
from herald_client.connection_end import ConnectionEnded
from herald_client.objects import Away


class Reconnection:
    """Selects the address of each connection and the delay before it. The first address is chosen at random, so that
    the clients that have the same list spread over all nodes; after each failure the next one in the list is used."""

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
        """The current address without query, user name and password, for logs and messages."""
        return without_secrets(self.address)

    async def wait(self) -> None:
        """Waits until the delay that `failed` has set is over. Returns immediately before the first connection. After a
        cancellation, the next call waits only for the remaining time."""
        seconds = self._due - asyncio.get_running_loop().time()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def succeeded(self) -> None:
        """Resets the number of consecutive failures, and with it the backoff. Called when an entry or a heartbeat has
        been received. A handshake or `hello` alone is no success: if Herald failed right after it each time, the client
        would reconnect without backoff."""
        self._failures = 0

    def failed(self, end: ConnectionEnded) -> Away:
        """Selects the next address, and sets the delay before the next connection. Returns both as an Away. Called when
        a connection has ended or could not be opened."""
        self._failures += 1
        wait_s = end.wait_s or 0.0
        if end.wait_s is None or not end.is_jittered:
            wait_s += self._backoff.delay(self._failures)
        self._due = asyncio.get_running_loop().time() + wait_s
        failed_url = self.url
        self._index = (self._index + 1) % len(self._addresses)
        return Away(failed_url, end.reason, end.code, wait_s, self.url)
