"""The event source that reads RabbitMQ."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import structlog

from adapters.rabbitmq.bound_queue import RabbitQueue
from adapters.rabbitmq.buffer import Buffer
from adapters.rabbitmq.connection import Link
from adapters.rabbitmq.connection_parameters import tls_context
from adapters.rabbitmq.outage_errors import outage
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.timing import Timing
from adapters.reconnect_delay import ReconnectDelay
from application.ports.event_source import Batch, NotAcknowledged, SourceStatus

log = structlog.get_logger(__name__)

MAX_EVENT_BYTES: Final = 1_048_576


class Receipt(NamedTuple):
    """Identifies a batch for its acknowledgement: the delivery tag of its last message, and the connection that
    delivered the batch. A delivery tag is valid only on its own connection."""

    link: Link | None
    tag: int


class RabbitSource:
    """Implements the port EventSource: consumes one queue, which is bound to the exchange by the patterns of the
    routes.

    After any fault (an error, or a broker that does not answer), a background task opens a new connection. RabbitMQ
    then redelivers all messages that were not acknowledged, so a batch of the lost connection can no longer be
    acknowledged.

    Messages arrive in the order of the queue if the queue has one active consumer. A queue that Herald has declared has
    only one, because of its argument `x-single-active-consumer`. A queue declared by others may distribute its messages
    among several nodes, or among two connections of one node if RabbitMQ has not noticed that the first one was lost.

    The source is ready if this node is registered as a consumer, and RabbitMQ answers and reads from the connection. If
    several nodes consume from a queue that Herald has declared, all are ready, but only one receives messages.
    """

    name = "rabbitmq"
    max_poll_age_s = 60.0

    def __init__(
        self,
        settings: RabbitSettings,
        patterns: Sequence[str],
        timing: Timing | None = None,
        *,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        """`patterns` are the routing keys that the routes name, with or without wildcards, such as `orders.*` (see
        domain.source_patterns). A body that would have more than `max_event_bytes` bytes after decoding is not decoded
        here; ingest makes the event a dead letter. Raises ValueError if there are no patterns. Raises OSError if the
        file HERALD_RABBITMQ_CAFILE cannot be read."""
        if not patterns:
            raise ValueError("a RabbitMQ source needs at least one pattern")
        self.queue = RabbitQueue(settings, patterns, lambda: self._link)
        self._settings = settings
        self._context = tls_context(settings)
        self._timing = timing or Timing()
        self._buffer = Buffer(max_event_bytes)
        self._link: Link | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._trouble = "not open"

    def change_patterns(self, patterns: Sequence[str]) -> None:
        """Implements EventSource. Only sets which bindings the queue needs: KeepBindings makes the new ones, as soon as
        every node has a route for their events."""
        self.queue.change_patterns(patterns)

    async def open(self) -> None:
        if self._supervisor is None:
            self._trouble = f"connecting to {self._settings.host}"
            self._supervisor = asyncio.create_task(self._supervise())

    async def take(self) -> Batch:
        tag, messages = await self._buffer.take()
        # No await since the batch was taken: these messages belong to the current link.
        return Batch(messages, Receipt(self._link, tag))

    async def acknowledge(self, batch: Batch) -> None:
        receipt: Receipt = batch.receipt
        if self._link is None or receipt.link is not self._link:
            raise NotAcknowledged("the connection that delivered these messages was lost")
        await self._link.acknowledge(receipt.tag)

    def status(self) -> SourceStatus:
        link = self._link
        if link is None or not link.consuming:
            return SourceStatus(self.name, ready=False, reason=self._trouble)
        waiting = link.watch.ready
        reason = self._reason(link)
        return SourceStatus(
            self.name,
            not reason,
            reason,
            (self._settings.queue,),
            link.watch.last_answer,
            None if waiting is None else waiting + len(self._buffer),
        )

    async def close(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor:
            supervisor.cancel()
            # No timeout: Link.leave has its own.
            await asyncio.wait({supervisor})
        self._trouble = "closed"

    def _reason(self, link: Link) -> str:
        if link.wire.blocked:
            return f"RabbitMQ does not read from this connection: {link.wire.blocked}"
        if not link.watch.answering:
            return f"RabbitMQ at {self._settings.host} does not answer"
        return ""

    async def _supervise(self) -> None:
        delay = ReconnectDelay(self._timing.reconnect)
        this = cast(asyncio.Task[None], asyncio.current_task())
        while True:
            delay.connecting()
            try:
                # Inside `try`, since an invalid host raises here.
                self._link = Link(self._settings, self.queue.bound, self._context, self._buffer, self._timing)
                await self._link.run()
            except (Exception, asyncio.CancelledError) as error:
                # A CancelledError without a request to cancel this task comes from aiormq, which has given up the
                # connection.
                if isinstance(error, asyncio.CancelledError) and (self._supervisor is not this or this.cancelling()):
                    raise
                self._report(error)
            finally:
                if self._link is not None:
                    await self._link.leave()
                self._link = None
            # Checked in addition to CancelledError, which aiormq may have swallowed while the link was closing.
            if self._supervisor is not this:
                return
            await delay.wait()

    def _report(self, fault: BaseException) -> None:
        """Logs a fault, and sets it as `reason` of the source's status. A fault that is not an outage of RabbitMQ or
        the network is logged with its traceback."""
        # Called before the link is closed, which takes seconds if the broker is frozen.
        close_reason = self._link.wire.close_reason if self._link else ""
        if words := outage(fault):
            self._trouble = close_reason or words
            log.warning("rabbitmq_unavailable", server=self._settings.host, error=self._trouble)
        else:
            self._trouble = f"{type(fault).__name__}: {fault}"
            log.error("rabbitmq_consumer_failed", server=self._settings.host, exc_info=fault)
