"""This node's connections to Redis, and what things are called there.

All that is used, with the version of Redis that it needs: AUTH with a user (6.0), else with a password alone (any);
CLIENT SETNAME, and SELECT where the URL names a database; PUBLISH, SUBSCRIBE, UNSUBSCRIBE; EVAL, and in it PUBLISH,
GET, SET with PX, HSET, HDEL, HGETALL, EXPIRE, TIME before a write (5.0), and PUBSUB NUMSUB (2.8). An access list must
allow them, on the keys and channels whose names begin with the prefix. Valkey has all of them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as Unanswered

from adapters.redis.command_batcher import Command, CommandBatcher, RedisUnavailable
from adapters.redis.settings import RedisSettings
from application.ports.store import Store

log = structlog.get_logger(__name__)

# Seconds for a connection to be made, and for an answer: whoever waits here is a publisher that has stored already, or
# a request that is counted.
PATIENCE: Final = 2.0

# Seconds between two warnings of a Redis that refuses what it is asked: it may refuse each of thousands.
REFUSALS: Final = 60.0


class Connections:
    """Shared by all that needs Redis.

    `fault` says why it can't be had now, None while it can; `outages` is how often there was one. The link finds out,
    which tries all the time, so that nobody else has to: while there is one, nothing is asked of Redis.
    """

    def __init__(self, settings: RedisSettings, store: Store, node: str) -> None:
        """`node` is a name that no other process has."""
        self.fault: str | None = "not connected yet"
        self.outages = 1
        self.node = node
        self._prefix = settings.prefix
        self._store = store
        self._warned: float | None = None
        self._batcher = CommandBatcher(self.send)
        # Three connections: for what is published, for what is asked, and for the beat, which waits for neither. What
        # was lost with its connection is sent again, once: Redis closes idle ones where it is told to. What was not
        # answered is not, or whoever waits would wait twice as long.
        self.sender = _client(settings, Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)))
        # Once lost it is not mended by the client, which would subscribe to everything in one command.
        self.receiver = _client(settings, Retry(NoBackoff(), 0, supported_errors=()))

    async def name(self, rest: str) -> str:
        """The name of a key or a channel. Raises StoreUnavailable until the store has been asked once.

        Names hold the epoch of the store. So Heralds with other stores, on the same Redis by design or by accident,
        never hear one another; nor does one that was restored from a backup hear what was said before.
        """
        return f"{self._prefix}:{await self._store.epoch()}:{rest}"

    async def execute(self, *command: Any) -> Any:
        """Raises RedisUnavailable: immediately while there is a `fault`, else within seconds."""
        if self.fault is not None:
            raise RedisUnavailable(self.fault)
        return await self._batcher.execute(command)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Their answers, in one round trip; the answer to a refused command is a RedisUnavailable.

        Raises RedisUnavailable, immediately while there is a `fault`. A Redis that does not answer is a fault from then
        on, so that only the first callers wait for it.
        """
        if self.fault is not None:
            raise RedisUnavailable(self.fault)
        pipeline = self.sender.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(PATIENCE):
                # What the client itself would raise of a refusal holds the beginning of the command.
                answers = await pipeline.execute(raise_on_error=False)
        except (TimeoutError, Unanswered) as fault:
            self.lost(f"no answer for {PATIENCE:.0f} s")
            raise RedisUnavailable(self.fault) from fault
        except (RedisError, OSError) as fault:
            raise RedisUnavailable(str(fault)) from fault
        return [self._refused(answer) if isinstance(answer, RedisError) else answer for answer in answers]

    async def beat(self, command: Command) -> None:
        """Publishes as all else is published, so that what hinders that is found out; while there is a `fault`, too.
        Raises what the client raises."""
        client: Any = self.sender  # whose types know this method for pipelines only
        await client.execute_command(*command)

    def lost(self, reason: str) -> None:
        """Until the link has proven itself again."""
        if self.fault is None:
            self.outages += 1
            log.warning("backplane_disconnected", error=reason)
        self.fault = reason

    async def close(self) -> None:
        """Within seconds, of a frozen Redis too, which says no farewell in TLS."""
        await self._batcher.close()
        closing = (self.sender.aclose(), self.receiver.aclose())
        for fault in await asyncio.gather(*closing, return_exceptions=True):
            if fault is not None:
                log.debug("redis_close_failed", error=str(fault))

    def _refused(self, answer: RedisError) -> RedisUnavailable:
        now = asyncio.get_running_loop().time()
        if self._warned is None or now - self._warned > REFUSALS:
            self._warned = now
            log.warning("redis_command_refused", error=str(answer))
        return RedisUnavailable(str(answer))


def _client(settings: RedisSettings, retry: Retry) -> Redis:
    tls: dict[str, Any] = {"ssl_ca_certs": settings.cafile} if settings.cafile else {}
    return Redis.from_url(
        settings.url or "",
        socket_connect_timeout=PATIENCE,
        socket_timeout=PATIENCE,
        retry=retry,
        client_name="herald",
        # The older protocol is all that this needs. With the newer one the client does not check connections that it
        # takes from its pool, and writes the text of each message for a log that nobody reads.
        protocol=2,
        # Else sent on each new connection, and refused before Redis 7.2.
        driver_info=None,
        **tls,
    )
