"""One connection to RabbitMQ, from connecting to closing."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

import aiormq
import structlog
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

from adapters.rabbitmq.buffer import Buffer
from adapters.rabbitmq.connection_parameters import address
from adapters.rabbitmq.messages import message_of
from adapters.rabbitmq.outage_errors import Silent, outage
from adapters.rabbitmq.probes import Watch, retrieve_exception
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.timing import Timing
from adapters.rabbitmq.topology import prepare
from adapters.rabbitmq.wire import Wire
from application.ports.bindings import Binding, NotChanged
from application.ports.event_source import NotAcknowledged

log = structlog.get_logger(__name__)


class Link:
    """One connection to RabbitMQ: connects, declares the queue, receives messages into the buffer and acknowledges
    them, until a fault (an error, or a broker that does not answer). RabbitSource creates a new Link after a fault."""

    def __init__(
        self,
        settings: RabbitSettings,
        wanted: Sequence[Binding],
        context: ssl.SSLContext | None,
        buffer: Buffer,
        timing: Timing,
    ) -> None:
        # aiormq is used instead of aio-pika, whose connections reconnect by themselves: the status would not show every
        # fault.
        # Whether this node is registered as a consumer at RabbitMQ.
        self.consuming = False
        self.watch = Watch(settings.queue, timing)
        self.wire = Wire(context)
        self._settings = settings
        self._wanted = wanted
        self._buffer = buffer
        self._timing = timing
        self._connection = aiormq.Connection(address(settings, timing.heartbeat), transport_factory=self.wire)
        self._connection.vhost = settings.vhost
        self._channel: aiormq.Channel | None = None
        self._acknowledged = 0
        self._over = False
        # What connecting is doing at the moment, for the text of a timeout.
        self._step = "connecting"

    async def run(self) -> NoReturn:
        """Connects and receives messages until a fault, and raises the fault. The caller must call `leave` afterwards.
        A fault can be a CancelledError, which aiormq raises for some lost connections (see outage_errors.py)."""
        # A cancelled call of aiormq may return a result nevertheless, or raise the fault of a connection that ends
        # meanwhile. So every call runs in a task of its own, which ends with the socket at the latest.
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._start_consuming())]
        try:
            if not (await asyncio.wait(tasks, timeout=self._timing.connect))[0]:
                raise Silent(f"RabbitMQ did not answer within {self._timing.connect:g} s while {self._step}")
            asked, consuming, tag = tasks[0].result()
            self.watch.note_answer()
            self.consuming = True
            log.info("rabbitmq_consuming", queue=self._settings.queue)
            tasks.append(asyncio.ensure_future(self.watch.run(asked, consuming, tag)))
            ends = {self._connection.closing, consuming.closing, tasks[1]}
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            raise _fault_of(ended)
        finally:
            self.consuming = False
            self._over = True
            self._buffer.drop()
            for task in tasks:
                task.add_done_callback(retrieve_exception)
                task.cancel()

    async def leave(self) -> None:
        """Closes the connection, even if connecting has failed or RabbitMQ does not answer, within twice `Timing.leave`
        seconds. Raises only CancelledError."""
        try:
            for one in (self._channel, self._connection):
                if one is not None and not one.is_closed:
                    # A task, as in `run`: a cancelled call of aiormq may wait for room in its queue.
                    closing = asyncio.ensure_future(one.close(None))
                    closing.add_done_callback(retrieve_exception)
                    try:
                        # RabbitMQ confirms the closing of a channel after it has received all acknowledgements.
                        await asyncio.wait({closing}, timeout=self._timing.leave)
                    finally:
                        closing.cancel()
        finally:
            self.wire.cut()

    async def acknowledge(self, tag: int) -> None:
        """Acknowledges the message with this delivery tag and all earlier ones. Returns as soon as aiormq has queued
        the acknowledgement for sending, because RabbitMQ does not confirm acknowledgements.

        Raises NotAcknowledged if the connection is closed, or if RabbitMQ has not read from it for `Timing.acknowledge`
        seconds.
        """
        channel = self._channel
        if channel is None or self._over or channel.is_closed or self._connection.is_closed:
            raise NotAcknowledged("the connection that delivered these messages was lost")
        if tag <= self._acknowledged:
            # Already acknowledged. Acknowledging it again would make RabbitMQ close the channel, because it no longer
            # has the tag.
            return
        try:
            async with asyncio.timeout(self._timing.acknowledge):
                await channel.basic_ack(tag, multiple=True, wait=False)
        except TimeoutError:
            raise NotAcknowledged("RabbitMQ does not read from the connection") from None
        self._acknowledged = tag

    async def change_bindings(self, change: Callable[[AbstractConnection], Coroutine[Any, Any, None]]) -> None:
        """Calls `change` with the connection, to bind or unbind the queue. Raises NotChanged if there is no connection,
        or if RabbitMQ has refused the change or has not confirmed it within `Timing.bind` seconds."""
        if not self.consuming:
            raise NotChanged("not connected to RabbitMQ")
        # A task, as in `run`.
        changing = asyncio.ensure_future(change(self._connection))
        changing.add_done_callback(retrieve_exception)
        try:
            if not (await asyncio.wait({changing}, timeout=self._timing.bind))[0]:
                raise NotChanged(f"RabbitMQ did not confirm the change within {self._timing.bind:g} s")
        finally:
            changing.cancel()
        if changing.cancelled():
            raise NotChanged("the connection to RabbitMQ was lost")
        if fault := changing.exception():
            if (words := outage(fault)) is None:
                raise fault
            raise NotChanged(words)

    async def _start_consuming(self) -> tuple[AbstractChannel, aiormq.Channel, str]:
        """Connects, declares the exchange, the queue and the bindings, and registers a consumer. Returns the channel
        for probes, the channel for messages, and the tag of the consumer."""
        await self._connection.connect()
        self._step = "declaring the exchange and the queue"
        await prepare(self._connection, self._settings, self._wanted)
        asked = await self._connection.channel(publisher_confirms=False)
        # RabbitMQ does not answer this step while a quorum queue has no majority of its nodes.
        self._step = f"registering a consumer of {self._settings.queue}"
        return asked, *await self._consume()

    async def _consume(self) -> tuple[aiormq.Channel, str]:
        channel = cast(aiormq.Channel, await self._connection.channel(publisher_confirms=False))
        self._channel = channel
        await channel.basic_qos(prefetch_count=self._settings.prefetch)
        consuming = await channel.basic_consume(self._settings.queue, self._delivered)
        return channel, consuming.consumer_tag or ""

    async def _delivered(self, delivered: DeliveredMessage) -> None:
        """Puts a delivered message into the buffer. aiormq calls this in a new task for each message."""
        # Put before any await: only the starts of the tasks are in the order of the queue.
        if not self._over:
            self._buffer.put(delivered.delivery_tag or 0, message_of(delivered, datetime.now(UTC)))


def _fault_of(ended: set[asyncio.Future[None]]) -> BaseException:
    for one in ended:
        if not one.cancelled() and (fault := one.exception()):
            return fault
    return Silent("the connection to RabbitMQ was lost")
