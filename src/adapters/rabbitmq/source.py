"""The event source that reads RabbitMQ."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import structlog

from adapters.rabbitmq.address import tls_context
from adapters.rabbitmq.buffer import Buffer
from adapters.rabbitmq.faults import outage
from adapters.rabbitmq.link import Link
from adapters.rabbitmq.queue import RabbitQueue
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.timing import Timing
from application.ports.event_source import Batch, NotAcknowledged, SourceStatus

log = structlog.get_logger(__name__)

# The end of a connection that has lasted for this long counts as a first failure.
STABLE_AFTER_S: Final = 60.0

MAX_EVENT_BYTES: Final = 1_048_576


class Receipt(NamedTuple):
    """A delivery tag means something on the connection that it came by, and nowhere else."""

    link: Link | None
    tag: int


class RabbitSource:
    """Implements EventSource as a consumer of one queue, bound to the routes' patterns.

    A supervisor makes a fresh connection after any fault; a connection is never repaired. What it had handed over
    without an acknowledgement, RabbitMQ hands over again, so messages of a connection that is gone can't be
    acknowledged.

    Order: that of the queue as long as one consumer has it, which a queue that Herald declares sees to. A queue that
    was there already, without a single active consumer, may share its messages out to several nodes; to a single one
    too, where its last connection is gone and RabbitMQ does not know it yet.

    Ready while RabbitMQ has this node as a consumer, reads from its connection, and answers. With several nodes on a
    queue of Herald's all are ready, and one is handed messages.
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
        """`patterns` are those of the routes (domain.patterns). A body is decoded up to `max_event_bytes`. Raises
        OSError when the CA file cannot be read."""
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

    async def open(self) -> None:
        if self._supervisor is None:
            self._trouble = f"connecting to {self._settings.host}"
            self._supervisor = asyncio.create_task(self._supervise())

    async def take(self) -> Batch:
        tag, messages = await self._buffer.take()
        # No await since: the buffer is dropped with its link.
        return Batch(messages, Receipt(self._link, tag))

    async def acknowledge(self, batch: Batch) -> None:
        receipt: Receipt = batch.receipt
        if self._link is None or receipt.link is not self._link:
            raise NotAcknowledged("the connection that these messages came by is gone")
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
            link.watch.heard,
            None if waiting is None else waiting + len(self._buffer),
        )

    async def close(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor:
            supervisor.cancel()
            # Its link has its own limits for leaving.
            await asyncio.wait({supervisor})
        self._trouble = "closed"

    def _reason(self, link: Link) -> str:
        if link.wire.blocked:
            return f"RabbitMQ reads nothing from this connection: {link.wire.blocked}"
        if not link.watch.answering:
            return f"RabbitMQ at {self._settings.host} does not answer"
        return ""

    async def _supervise(self) -> None:
        failures = 0
        this = cast(asyncio.Task[None], asyncio.current_task())
        while True:
            born = time.monotonic()
            try:
                # In here, since not everything that is set as a host makes an address.
                self._link = Link(self._settings, self.queue.wanted, self._context, self._buffer, self._timing)
                await self._link.run()
            except (Exception, asyncio.CancelledError) as fault:
                # One that nobody asked for is aiormq's own, of a connection that it has given up.
                if isinstance(fault, asyncio.CancelledError) and (self._supervisor is not this or this.cancelling()):
                    raise
                self._tell(fault)
            finally:
                if self._link is not None:
                    await self._link.leave()
                self._link = None
            # A cancellation is not enough to go by: it may have met aiormq while the link was leaving.
            if self._supervisor is not this:
                return
            failures = failures + 1 if time.monotonic() - born < STABLE_AFTER_S else 1
            await asyncio.sleep(self._timing.reconnect.delay_s(failures, random.random()))

    def _tell(self, fault: BaseException) -> None:
        """To the status, before the link has left: that takes seconds where the broker is frozen. What is no outage is
        logged with its trace."""
        farewell = self._link.wire.farewell if self._link else ""
        if words := outage(fault):
            self._trouble = farewell or words
            log.warning("rabbitmq_unavailable", server=self._settings.host, error=self._trouble)
        else:
            self._trouble = f"{type(fault).__name__}: {fault}"
            log.error("rabbitmq_consumer_failed", server=self._settings.host, exc_info=fault)
