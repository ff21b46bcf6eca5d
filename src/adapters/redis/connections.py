"""This node's connections to Redis, and the full names of its keys and channels in Redis.

Redis 5.0 is required; 6.0 if REDIS_URL contains a user name. Valkey works in every version. If Redis has access lists,
Herald's user needs these commands, for keys and channels whose names begin with HERALD_REDIS_PREFIX: CLIENT SETNAME,
SELECT (if REDIS_URL names a database), PUBLISH, SUBSCRIBE, UNSUBSCRIBE, EVAL, and those that its scripts call by EVAL:
GET, SET, HSET, HDEL, HGETALL, EXPIRE, TIME and PUBSUB NUMSUB.
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

from adapters.coalescer import Coalescer
from adapters.redis.command_types import MAX_BATCH_SIZE, Command, RedisUnavailable
from adapters.redis.settings import RedisSettings
from application.ports.store import Store

log = structlog.get_logger(__name__)

# Timeout in seconds for connecting, and for an answer. It is short because callers wait for it: publishers, whose
# entries are already stored, and requests that are subject to a rate limit.
COMMAND_TIMEOUT_S: Final = 2.0

# Seconds between two warnings about refused commands: Redis may refuse thousands.
REFUSAL_WARNING_INTERVAL_S: Final = 60.0


class Connections:
    """The connections to Redis that backplane, presence and throttle share.

    `fault` is the reason why Redis is unavailable; None while it is available. While `fault` is set, commands fail
    immediately, so that their callers do not wait for timeouts. Subscriber reconnects, and sets `fault` to None when
    Redis is available again. `outages` is the number of times that Redis became unavailable, including once at the
    start.
    """

    def __init__(self, settings: RedisSettings, store: Store, node: str) -> None:
        """`node` is the name of this node. All nodes that share a Redis must have different names."""
        self.fault: str | None = "not connected yet"
        self.outages = 1
        self.node = node
        self._prefix = settings.prefix
        self._store = store
        self._warned: float | None = None
        # One round trip at a time: a connection serves any number of callers.
        self._coalesced: Coalescer[Command, Any] = Coalescer(self.send, asyncio.Semaphore(1), max_batch=MAX_BATCH_SIZE)
        # At most three connections are in use: for publishing, for other commands, and for the heartbeat, so that none
        # of them waits for another. A command is retried once if its connection was lost, because Redis can be
        # configured to close idle connections. A command without an answer is not retried, since its caller would wait
        # twice as long.
        self.sender = _client(settings, Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)))
        # Without retries: the client would reconnect by itself, and subscribe to all channels in one command.
        self.receiver = _client(settings, Retry(NoBackoff(), 0, supported_errors=()))

    async def full_name(self, rest: str) -> str:
        """Returns the full name of a key or channel: `<prefix>:<epoch>:<rest>`. The first call reads the epoch from the
        store, and raises StoreUnavailable if that fails.

        Because of the epoch, deployments with different stores can share a Redis and never receive each other's
        messages. For the same reason, a deployment restored from a backup receives no messages from before the restore.
        """
        return f"{self._prefix}:{await self._store.epoch()}:{rest}"

    async def execute(self, *command: Any) -> Any:
        """Sends a command and returns its answer. Commands of concurrent callers are sent together. Raises
        RedisUnavailable: immediately while `fault` is set, otherwise within a few seconds."""
        if self.fault is not None:
            raise RedisUnavailable(self.fault)
        return await self._coalesced(command)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Sends the commands in one round trip and returns their answers in the same order. For a command that Redis
        refuses, the list contains a RedisUnavailable in place of the answer.

        Raises RedisUnavailable immediately while `fault` is set, if the connection is lost, or after COMMAND_TIMEOUT_S
        without an answer. Such a timeout sets `fault`, so that later callers do not wait as well.
        """
        if self.fault is not None:
            raise RedisUnavailable(self.fault)
        pipeline = self.sender.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                # Without `raise_on_error`, because the text of the client's exception would contain the beginning of
                # the command.
                answers = await pipeline.execute(raise_on_error=False)
        except (TimeoutError, Unanswered) as error:
            self.mark_unavailable(f"no answer for {COMMAND_TIMEOUT_S:.0f} s")
            raise RedisUnavailable(self.fault) from error
        except (RedisError, OSError) as error:
            raise RedisUnavailable(str(error)) from error
        return [self._refused(answer) if isinstance(answer, RedisError) else answer for answer in answers]

    async def send_heartbeat(self, command: Command) -> None:
        """Sends the command that publishes the heartbeat of Subscriber, even while `fault` is set. Uses the same
        client as `send`, so that the heartbeat fails if publishing does. Raises the exceptions of redis-py."""
        client: Any = self.sender  # its type hints have this method for pipelines only
        await client.execute_command(*command)

    def mark_unavailable(self, reason: str) -> None:
        """Sets `fault`: all commands fail until Subscriber receives a heartbeat again. If `fault` was not set
        before, counts and logs the outage."""
        if self.fault is None:
            self.outages += 1
            log.warning("backplane_disconnected", error=reason)
        self.fault = reason

    async def close(self) -> None:
        """Closes all connections within a few seconds, even if Redis does not respond."""
        await self._coalesced.close(RedisUnavailable("closed"))
        closing = (self.sender.aclose(), self.receiver.aclose())
        for fault in await asyncio.gather(*closing, return_exceptions=True):
            if fault is not None:
                log.debug("redis_close_failed", error=str(fault))

    def _refused(self, answer: RedisError) -> RedisUnavailable:
        """Returns a RedisUnavailable for the error reply of a refused command. Logs a warning for at most one
        refusal in REFUSAL_WARNING_INTERVAL_S."""
        now = asyncio.get_running_loop().time()
        if self._warned is None or now - self._warned > REFUSAL_WARNING_INTERVAL_S:
            self._warned = now
            log.warning("redis_command_refused", error=str(answer))
        return RedisUnavailable(str(answer))


def _client(settings: RedisSettings, retry: Retry) -> Redis:
    tls: dict[str, Any] = {"ssl_ca_certs": settings.cafile} if settings.cafile else {}
    return Redis.from_url(
        settings.url or "",
        socket_connect_timeout=COMMAND_TIMEOUT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        retry=retry,
        client_name="herald",
        # RESP2 is sufficient. With RESP3, the client does not check pooled connections before their use, and formats
        # each message for a debug log.
        protocol=2,
        # Otherwise the client sends its name and version on each new connection, which Redis before 7.2 refuses.
        driver_info=None,
        **tls,
    )
