"""One connection's life."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

import aiormq
import structlog
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

from adapters.rabbitmq.address import address
from adapters.rabbitmq.buffer import Buffer
from adapters.rabbitmq.faults import Silent, outage
from adapters.rabbitmq.messages import message_of
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.timing import Timing
from adapters.rabbitmq.topology import prepare
from adapters.rabbitmq.watch import Watch, look_at
from adapters.rabbitmq.wire import Wire
from application.ports.bindings import Binding, NotChanged
from application.ports.event_source import NotAcknowledged

log = structlog.get_logger(__name__)


class Link:
    """Connects, consumes, hands over and acknowledges, until something goes wrong; then it is thrown away.

    aiormq itself rather than aio-pika over it, whose connections mend themselves: here the supervisor does, so that the
    status knows of every fault.
    """

    def __init__(
        self,
        settings: RabbitSettings,
        wanted: Sequence[Binding],
        context: ssl.SSLContext | None,
        buffer: Buffer,
        timing: Timing,
    ) -> None:
        # Whether RabbitMQ has taken this node as a consumer.
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
        # What the broker is asked about until this node is a consumer.
        self._step = "the connection"

    async def run(self) -> NoReturn:
        """Raises what went wrong. `leave` is left to the caller, who tells of the fault before. A CancelledError may be
        aiormq's own (see faults.py).

        aiormq may answer a cancellation with a result, or with the fault of a connection that ends meanwhile. So all
        that waits for it has a task of its own, which ends with the socket at the latest.
        """
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._begin())]
        try:
            if not (await asyncio.wait(tasks, timeout=self._timing.connect))[0]:
                raise Silent(f"RabbitMQ did not answer within {self._timing.connect:g} s about {self._step}")
            asked, consuming, tag = tasks[0].result()
            self.watch.hear()
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
                task.add_done_callback(look_at)
                task.cancel()

    async def leave(self) -> None:
        """Closes in whatever state the connection is, in at most twice `leave`. Never fails."""
        try:
            for one in (self._channel, self._connection):
                if one is not None and not one.is_closed:
                    # A task, as in `run`: aiormq may answer a cancellation by waiting for room in its queue.
                    closing = asyncio.ensure_future(one.close(None))
                    closing.add_done_callback(look_at)
                    try:
                        # RabbitMQ answers the closing of a channel once it has every acknowledgement before it.
                        await asyncio.wait({closing}, timeout=self._timing.leave)
                    finally:
                        closing.cancel()
        finally:
            self.wire.cut()

    async def acknowledge(self, tag: int) -> None:
        """This message, and all before it. Written without an answer: RabbitMQ gives none.

        Raises NotAcknowledged where it is certain that RabbitMQ will not hear of it.
        """
        channel = self._channel
        if channel is None or self._over or channel.is_closed or self._connection.is_closed:
            raise NotAcknowledged("the connection that these messages came by is gone")
        if tag <= self._acknowledged:
            # RabbitMQ knows this tag no more, and would close the channel.
            return
        try:
            async with asyncio.timeout(self._timing.acknowledge):
                await channel.basic_ack(tag, multiple=True, wait=False)
        except TimeoutError:
            raise NotAcknowledged("RabbitMQ reads nothing from the connection") from None
        self._acknowledged = tag

    async def change_bindings(self, change: Callable[[AbstractConnection], Coroutine[Any, Any, None]]) -> None:
        """Raises NotChanged where RabbitMQ has not confirmed all of it in time."""
        if not self.consuming:
            raise NotChanged("not connected to RabbitMQ")
        # A task, as in `run`.
        changing = asyncio.ensure_future(change(self._connection))
        changing.add_done_callback(look_at)
        try:
            if not (await asyncio.wait({changing}, timeout=self._timing.bind))[0]:
                raise NotChanged(f"RabbitMQ did not confirm it within {self._timing.bind:g} s")
        finally:
            changing.cancel()
        if changing.cancelled():
            raise NotChanged("the connection is gone")
        if fault := changing.exception():
            if (words := outage(fault)) is None:
                raise fault
            raise NotChanged(words)

    async def _begin(self) -> tuple[AbstractChannel, aiormq.Channel, str]:
        """The channel for questions, the one for messages, and the consumer's tag on that."""
        await self._connection.connect()
        self._step = "the exchange and the queue"
        await prepare(self._connection, self._settings, self._wanted)
        asked = await self._connection.channel(publisher_confirms=False)
        # So it is with a quorum queue while no majority of its nodes is there.
        self._step = f"a consumer of {self._settings.queue}"
        return asked, *await self._consume()

    async def _consume(self) -> tuple[aiormq.Channel, str]:
        channel = cast(aiormq.Channel, await self._connection.channel(publisher_confirms=False))
        self._channel = channel
        await channel.basic_qos(prefetch_count=self._settings.prefetch)
        consuming = await channel.basic_consume(self._settings.queue, self._delivered)
        return channel, consuming.consumer_tag or ""

    async def _delivered(self, delivered: DeliveredMessage) -> None:
        """aiormq makes a task of each call, and tasks begin in their order: so no await before the message is put."""
        if not self._over:
            self._buffer.put(delivered.delivery_tag or 0, message_of(delivered, datetime.now(UTC)))


def _fault_of(ended: set[asyncio.Future[None]]) -> BaseException:
    for one in ended:
        if not one.cancelled() and (fault := one.exception()):
            return fault
    return Silent("the connection is gone")
