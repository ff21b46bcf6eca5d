"""The backplane for several nodes: publish/subscribe of Redis. Each stream has a Redis channel of its own, to which
the nodes with sessions of this stream subscribe."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

import structlog

from adapters.redis.command_types import RedisUnavailable
from adapters.redis.connections import Connections
from adapters.redis.subscriber import NODE_PREFIX, Subscriber
from adapters.redis.wire import (
    UNREADABLE,
    EntryReader,
    bundles,
    entry_messages,
    publish_command,
    read_sign_outs,
    sign_out_message,
)
from application.counters import Counters
from application.ports.backplane import BackplaneUnavailable, Listener
from application.ports.store import StoreUnavailable
from domain.streams import SignOut, StreamEntry, StreamName

log = structlog.get_logger(__name__)

# The channel that every node subscribes to; all other channels have the names of their streams.
SIGN_OUTS: Final = "sign-outs"

# Seconds between attempts to read the epoch, which is part of channel names, from the store.
STORE_RETRY_S: Final = 1.0


class RedisBackplane:
    """Implements the port Backplane with publish/subscribe of Redis. Redis stores no messages; the hubs read the
    entries of lost messages from the store.

    `publish` sends all entries of a call in one round trip. Calls run one after another, so the messages of a stream
    stay in order. While Redis is unavailable, `publish` does not wait: it delivers the entries to this node's own
    sessions only, and raises BackplaneUnavailable.
    """

    def __init__(self, connections: Connections, counters: Counters) -> None:
        self._connections = connections
        self._counters = counters
        self._subscriber = Subscriber(connections, self._received)
        self._read_entries = EntryReader()
        self._prefix: str | None = None
        self._turn = asyncio.Lock()
        self._listener: Listener | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def fault(self) -> str | None:
        return self._connections.fault

    @property
    def outages(self) -> int:
        return self._connections.outages

    async def open(self, listener: Listener) -> None:
        self._listener = listener
        self._running = asyncio.create_task(self._run(), name="backplane")

    async def publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        try:
            async with self._turn:
                await self._publish(entries, sign_outs)
        except (RedisUnavailable, StoreUnavailable) as error:
            self._deliver_here(entries, sign_outs)
            raise BackplaneUnavailable(str(error)) from error

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        prefix = await self._channel_prefix()
        await self._subscriber.subscribe([prefix + stream for stream in streams])

    def unsubscribe(self, streams: Collection[StreamName]) -> None:
        if self._prefix is not None:
            self._subscriber.unsubscribe([self._prefix + stream for stream in streams])

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        self._connections.fault = "closed"

    async def _channel_prefix(self) -> str:
        if self._prefix is None:
            self._prefix = await self._connections.full_name("")
        return self._prefix

    async def _publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        prefix = await self._channel_prefix()
        messages = [(prefix + stream, text) for stream, text in entry_messages(entries)]
        if sign_outs:
            messages.append((prefix + SIGN_OUTS, sign_out_message(sign_outs)))
        self._counters.backplane["published"] += len(messages)
        commands = [publish_command(bundle) for bundle in bundles(messages)]
        for answer in await self._connections.send(commands):
            if isinstance(answer, RedisUnavailable):
                raise answer

    async def _run(self) -> None:
        while True:
            try:
                prefix = await self._channel_prefix()
                break
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY_S)
        await self._subscriber.subscribe([prefix + SIGN_OUTS])
        await self._subscriber.run(prefix + NODE_PREFIX + self._connections.node)

    def _received(self, channel: str, message: bytes) -> None:
        self._counters.backplane["received"] += 1
        try:
            if channel == f"{self._prefix}{SIGN_OUTS}":
                self._deliver((), read_sign_outs(message))
            else:
                self._deliver(self._read_entries(message), ())
        except UNREADABLE as error:
            log.warning("backplane_message_invalid", redis_channel=channel, error=str(error))

    def _deliver_here(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        """Delivers entries and sign-outs that could not be published to this node's own hub."""
        followed = [entry for entry in entries if self._subscriber.is_subscribed(f"{self._prefix}{entry.stream}")]
        self._deliver(followed, sign_outs)

    def _deliver(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        if self._listener is None:
            return
        if entries:
            self._listener.arrived(entries)
        if sign_outs:
            self._listener.signed_out(sign_outs)
