"""Declares exchange, queue and bindings at the broker. Existing ones are left unchanged."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from adapters.rabbitmq.settings import RabbitSettings
from application.ports.bindings import Binding

log = structlog.get_logger(__name__)

QUEUE_ARGUMENTS: Final[dict[str, Any]] = {
    # Replicated to a majority of RabbitMQ's nodes, and stored on disk.
    "x-queue-type": "quorum",
    # RabbitMQ sends messages to only one of Herald's nodes, in order. Another one takes over when that one disconnects.
    "x-single-active-consumer": True,
    # So high that it is never reached. If a consumer crashes or loses its connection, this counts as a delivery of each
    # message that it has not acknowledged. Since RabbitMQ 4.0, messages beyond the limit (20 by default) are dropped.
    # Herald needs no limit: it stores events that it can't process as dead letters, and acknowledges them.
    "x-delivery-limit": 1_000_000,
}


async def prepare(connection: AbstractConnection, settings: RabbitSettings, wanted: Sequence[Binding]) -> None:
    """Creates exchange and queue if they do not exist, and the bindings. Raises AMQPError.

    An existing exchange or queue is used as it is: declaring it with other arguments is an error. Several nodes may do
    this concurrently: they declare the same, and repeating a declaration or a binding is a no-op.
    """
    exchange, queue = settings.exchange, settings.queue
    has_exchange = await _found(connection, lambda channel: channel.exchange_declare(exchange, passive=True))
    has_queue = await _found(connection, lambda channel: channel.queue_declare(queue, passive=True))
    channel = await connection.channel(publisher_confirms=False)
    if not has_exchange:
        await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
        log.info("rabbitmq_exchange_declared", exchange=exchange)
    if not has_queue:
        await channel.queue_declare(queue, durable=True, arguments=QUEUE_ARGUMENTS)
        log.info("rabbitmq_queue_declared", queue=queue)
    await channel.close()
    await bind(connection, queue, wanted)


async def bind(connection: AbstractConnection, queue: str, bindings: Sequence[Binding]) -> None:
    """Creates bindings; no-op for those that exist. Raises AMQPError."""
    channel = await connection.channel(publisher_confirms=False)
    for binding in bindings:
        await channel.queue_bind(queue, binding.exchange, binding.key)
    await channel.close()


async def unbind(connection: AbstractConnection, queue: str, bindings: Sequence[Binding]) -> None:
    """Removes bindings. A binding is ignored if it does not exist, or if its exchange or queue does not exist. Raises
    AMQPError."""
    for exchange in sorted({binding.exchange for binding in bindings}):
        # One channel for each exchange, since RabbitMQ closes the channel if the exchange does not exist.
        channel = await connection.channel(publisher_confirms=False)
        try:
            for binding in bindings:
                if binding.exchange == exchange:
                    await channel.queue_unbind(queue, exchange, binding.key)
        except ChannelNotFoundEntity:
            continue
        await channel.close()


async def _found(connection: AbstractConnection, ask: Callable[[AbstractChannel], Awaitable[object]]) -> bool:
    """Returns whether an exchange or queue exists. `ask` declares it passively, on a channel of its own, since RabbitMQ
    closes the channel if it does not exist."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await ask(channel)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
