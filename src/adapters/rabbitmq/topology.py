"""Declares the exchange, the queue and its bindings in RabbitMQ, and removes bindings."""

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
    """Creates the exchange, the queue and the `wanted` bindings, if they do not exist. An existing exchange or queue is
    used as it is. Several nodes can call this at the same time. Raises AMQPError."""
    # An existing exchange or queue is not declared again: RabbitMQ refuses a declaration with other arguments.
    exchange, queue = settings.exchange, settings.queue
    has_exchange = await _exists(connection, lambda channel: channel.exchange_declare(exchange, passive=True))
    has_queue = await _exists(connection, lambda channel: channel.queue_declare(queue, passive=True))
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
    """Creates bindings of the queue; existing bindings stay as they are. Raises AMQPError."""
    channel = await connection.channel(publisher_confirms=False)
    for binding in bindings:
        await channel.queue_bind(queue, binding.exchange, binding.key)
    await channel.close()


async def unbind(connection: AbstractConnection, queue: str, bindings: Sequence[Binding]) -> None:
    """Removes bindings of the queue. Ignores a binding that does not exist, or whose exchange or queue does not exist.
    Raises AMQPError."""
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


async def _exists(connection: AbstractConnection, declare: Callable[[AbstractChannel], Awaitable[object]]) -> bool:
    """Returns whether an exchange or queue exists. `declare` declares it passively (without creating it) on the given
    channel."""
    # A channel of its own: RabbitMQ closes the channel if the exchange or queue does not exist.
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare(channel)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
