"""This node's connections to Redis, and what things are called there."""

from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost

from adapters.redis.settings import RedisSettings
from application.ports.store import Store

# Seconds for a connection to be made, and for an answer: whoever waits here is a publisher that has stored already, or
# a request that is counted.
PATIENCE: Final = 2.0

# Connections to ask and tell by. One would do; a few more let requests pass a batch that is being published.
MOST: Final = 8


class Connections:
    """Shared by all that needs Redis.

    `fault` says why it can't be had now, None while it can. It is found by the link, which tries all the time, so that
    nobody else has to: while there is one, nothing is asked of Redis.
    """

    def __init__(self, settings: RedisSettings, store: Store, node: str) -> None:
        """`node` is a name that no other process has."""
        self.fault: str | None = "not connected yet"
        self.node = node
        self._prefix = settings.prefix
        self._store = store
        # A command that was lost with its connection is sent again, once: Redis closes idle ones where it is told to.
        # One that was not answered is not, or whoever waits would wait twice as long.
        self.sender = _client(settings, retries=1)
        self.receiver = _client(settings, retries=0)

    async def name(self, rest: str) -> str:
        """The name of a key or a channel. Raises StoreUnavailable until the store has been asked once.

        Names hold the epoch of the store. So Heralds with other stores, on the same Redis by design or by accident,
        never hear one another; nor does one that was restored from a backup hear what was said before.
        """
        return f"{self._prefix}:{await self._store.epoch()}:{rest}"

    async def close(self) -> None:
        await self.sender.aclose()
        await self.receiver.aclose()


def _client(settings: RedisSettings, retries: int) -> Redis:
    tls: dict[str, Any] = {"ssl_ca_certs": settings.cafile} if settings.cafile else {}
    pool = BlockingConnectionPool.from_url(
        settings.url,
        max_connections=MOST,
        timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        socket_timeout=PATIENCE,
        retry=Retry(NoBackoff(), retries, supported_errors=(ConnectionLost,)),
        client_name="herald",
        **tls,
    )
    return Redis.from_pool(pool)
