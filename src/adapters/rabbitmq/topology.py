"""What is made at the broker, and what is found there and left as it is."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from adapters.rabbitmq.settings import RabbitSettings
from application.ports.bindings import Binding

log = structlog.get_logger(__name__)

QUEUE_ARGUMENTS: Final[dict[str, Any]] = {
    # Kept on a majority of the nodes, and on disk.
    "x-queue-type": "quorum",
    # However many nodes Herald has, one of them gets the messages, in their order; another takes over when it goes.
    "x-single-active-consumer": True,
    # Each time a consumer goes with messages unacknowledged, by a crash or a lost connection, counts as a delivery
    # of all of them. From RabbitMQ 4.0 on, the limit is 20 unless it is set, and what is beyond it is dropped. So the
    # limit is one that is never reached: what can't be processed, Herald stores as a dead letter, and acknowledges.
    "x-delivery-limit": 1_000_000,
}


async def prepare(connection: AbstractConnection, settings: RabbitSettings, wanted: Sequence[Binding]) -> None:
    """Makes sure of exchange, queue and bindings. Raises AMQPError.

    What is there is used as it is: to declare it with other arguments than it has would be an error. Several nodes may
    do this at once: what they declare is the same, and what is declared or bound twice stays as it is.
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
    """Makes bindings; those that exist stay. Raises AMQPError."""
    channel = await connection.channel(publisher_confirms=False)
    for binding in bindings:
        await channel.queue_bind(queue, binding.exchange, binding.key)
    await channel.close()


async def unbind(connection: AbstractConnection, queue: str, bindings: Sequence[Binding]) -> None:
    """Removes bindings; those that do not exist, or whose exchange or queue does not, are ignored. Raises AMQPError."""
    for exchange in sorted({binding.exchange for binding in bindings}):
        # On a channel of its own each, since RabbitMQ says by closing it that there is no such exchange.
        channel = await connection.channel(publisher_confirms=False)
        try:
            for binding in bindings:
                if binding.exchange == exchange:
                    await channel.queue_unbind(queue, exchange, binding.key)
        except ChannelNotFoundEntity:
            continue
        await channel.close()


async def _found(connection: AbstractConnection, ask: Callable[[AbstractChannel], Awaitable[object]]) -> bool:
    """Asks on a channel of its own, since RabbitMQ says no by closing it."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await ask(channel)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
