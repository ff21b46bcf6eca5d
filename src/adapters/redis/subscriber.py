"""The connection by which a node receives messages from Redis. Heartbeats test it, and a failed connection is
replaced."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from adapters.redis.connections import Connections
from adapters.redis.wire import publish_command
from domain.backoff import Backoff

log = structlog.get_logger(__name__)

# The prefix of the channels that each node has for itself; the rest is the node's name.
NODE_PREFIX: Final = "node:"

# Interval in seconds between two heartbeats, and timeout for receiving one: after that, the connection counts as lost.
HEARTBEAT_INTERVAL_S: Final = 1.0
HEARTBEAT_TIMEOUT_S: Final = 3.0

# Timeouts in seconds for the confirmation of one subscription, and of all on a new connection: 50,000 take less than
# 1 s.
CONFIRMATION_TIMEOUT_S: Final = 2.0
ALL_CONFIRMATIONS_TIMEOUT_S: Final = 20.0

# Delay between attempts to connect.
RECONNECT: Final = Backoff(initial_s=0.1, max_s=2.0)

# Maximum number of channels in one command.
MAX_CHANNELS_PER_COMMAND: Final = 1_000


class Subscriber:
    """Receives the messages of the subscribed channels and passes each to `on_message`, as channel and message. After
    every reconnection, it subscribes to all channels again.

    It also determines whether Redis is available (`Connections.fault`): it publishes a heartbeat every
    HEARTBEAT_INTERVAL_S to a channel of its own. Redis is available once a heartbeat was received, and unavailable if
    none is received for HEARTBEAT_TIMEOUT_S.
    """

    def __init__(self, connections: Connections, on_message: Callable[[str, bytes], None]) -> None:
        self._connections = connections
        self._on_message = on_message
        self._beat = ""
        # By wanted channel: done once Redis has confirmed the subscription.
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        # By channel, not sent yet: True to subscribe, False to unsubscribe.
        self._changes: dict[str, bool] = {}
        # One for each expected answer, in order; None for an unsubscription.
        self._asked: deque[asyncio.Future[None] | None] = deque()
        self._changed = asyncio.Event()
        self._beaten = asyncio.Event()
        self._failures = 0  # failed connections since the last one that worked

    async def subscribe(self, channels: Collection[str]) -> None:
        """Subscribes to channels. While Redis is available, waits until Redis has confirmed them, at most
        CONFIRMATION_TIMEOUT_S seconds. Otherwise returns immediately; the channels are subscribed once Redis is
        available."""
        loop = asyncio.get_running_loop()
        for channel in channels:
            if channel not in self._confirmed:
                self._confirmed[channel] = loop.create_future()
                self._change(channel, True)
        waiting = [future for channel in channels if not (future := self._confirmed[channel]).done()]
        if waiting and self._connections.fault is None:
            await asyncio.wait(waiting, timeout=CONFIRMATION_TIMEOUT_S)

    def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribes from channels, without waiting for the confirmation. Some of their messages may still be
        received."""
        for channel in channels:
            if (confirmed := self._confirmed.pop(channel, None)) is not None:
                _complete(confirmed)
                self._change(channel, False)

    def is_subscribed(self, channel: str) -> bool:
        """Returns whether the channel was passed to `subscribe` and not to `unsubscribe` since, confirmed or not."""
        return channel in self._confirmed

    def _change(self, channel: str, wanted: bool) -> None:
        self._changes[channel] = wanted
        self._changed.set()

    async def run(self, beat: str) -> None:
        """Connects to Redis, and reconnects after each failure, until the task is cancelled. `beat` is the channel
        for the heartbeats of this node."""
        self._beat = beat
        while True:
            try:
                # A task of its own: before Python 3.13, a failing task group ignores a cancellation, and a failed one
                # leaves its task marked as being cancelled.
                await asyncio.create_task(self._connect(), name="backplane connection")
            except Exception as error:
                _raise_if_cancelled()
                self._connections.mark_unavailable(_reason(error))
            self._failures += 1
            await asyncio.sleep(RECONNECT.delay_s(self._failures, random.random()))

    async def _connect(self) -> None:
        """Opens one connection, and receives messages by it until it fails. Raises the exception with which it
        failed."""
        async with self._connections.receiver.pubsub() as pubsub, asyncio.TaskGroup() as tasks:
            self._reset_subscriptions()
            tasks.create_task(self._send_subscriptions(pubsub))
            tasks.create_task(self._send_heartbeats())

    def _reset_subscriptions(self) -> None:
        """Marks every channel as not subscribed yet, because a new connection has no subscriptions."""
        loop = asyncio.get_running_loop()
        for future in self._confirmed.values():
            _complete(future)  # the connection is lost: no confirmation will come
        self._confirmed = {channel: loop.create_future() for channel in [self._beat, *self._confirmed]}
        self._changes = dict.fromkeys(self._confirmed, True)
        self._asked.clear()
        self._changed.set()
        self._beaten.clear()

    async def _send_subscriptions(self, pubsub: PubSub) -> None:
        # Reading needs a connection, which the first subscription opens.
        await self._send_changes(pubsub, {self._beat: True})
        del self._changes[self._beat]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(pubsub))
            while True:
                await self._changed.wait()
                self._changed.clear()
                changes, self._changes = self._changes, {}
                await self._send_changes(pubsub, changes)

    async def _send_changes(self, pubsub: PubSub, changes: Mapping[str, bool]) -> None:
        for wanted, command in ((False, pubsub.unsubscribe), (True, pubsub.subscribe)):
            channels = [channel for channel, so in changes.items() if so is wanted]
            for first in range(0, len(channels), MAX_CHANNELS_PER_COMMAND):
                some = channels[first : first + MAX_CHANNELS_PER_COMMAND]
                # Redis answers for each channel, in this order. The answer to an older command for the same channel is
                # no confirmation: the channel may have been unsubscribed since.
                self._asked.extend(self._confirmed.get(channel) if wanted else None for channel in some)
                await command(*some)
                _raise_if_cancelled()

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message: dict[str, Any] | None = await pubsub.get_message(timeout=None)
            if message is None:
                continue
            if message["type"] in ("subscribe", "unsubscribe"):
                if (confirmed := self._asked.popleft()) is not None:
                    _complete(confirmed)
            elif (channel := message["channel"].decode()) == self._beat:
                self._beaten.set()
            else:
                self._on_message(channel, message["data"])

    async def _send_heartbeats(self) -> None:
        # Redis counts as available only once all subscriptions are confirmed: until then the hub compares all streams
        # with the store.
        async with _timeout(ALL_CONFIRMATIONS_TIMEOUT_S, "Redis has not confirmed all subscriptions"):
            await asyncio.gather(*self._confirmed.values())
        while True:
            self._beaten.clear()
            async with _timeout(HEARTBEAT_TIMEOUT_S, "no heartbeat has come back from Redis"):
                await self._connections.send_heartbeat(publish_command([(self._beat, b"")]))
                _raise_if_cancelled()
                await self._beaten.wait()
            self._failures = 0
            if self._connections.fault is not None:
                self._connections.fault = None
                log.info("backplane_connected", channels=len(self._confirmed))
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)


@asynccontextmanager
async def _timeout(seconds: float, otherwise: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TimeoutError(f"{otherwise} for {seconds:.0f} s") from None


def _raise_if_cancelled() -> None:
    """Raises CancelledError if the current task was cancelled and the call before did not raise it. redis-py uses
    asyncio.wait_for, which can swallow a cancellation before Python 3.12."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _complete(confirmed: asyncio.Future[None]) -> None:
    if not confirmed.done():
        confirmed.set_result(None)


def _reason(fault: BaseException) -> str:
    """Returns the text of an exception; for a group, of the first one in it. Logs any exception with its traceback,
    except errors of Redis and of the network, which are expected during an outage."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    if not isinstance(fault, RedisError | OSError | TimeoutError):
        log.error("backplane_failed", exc_info=fault)
    return str(fault) or type(fault).__name__
