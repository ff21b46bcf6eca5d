"""The queue that Herald reads, and its bindings."""

from collections.abc import Callable, Sequence
from functools import partial

from adapters.rabbitmq import topology
from adapters.rabbitmq.connection import Link
from adapters.rabbitmq.settings import RabbitSettings
from application.ports.bindings import Binding, NotChanged, QueueName


class RabbitQueue:
    """Implements the port BoundQueue for the queue of a RabbitSource. Changes bindings on the current connection of the
    source; raises NotChanged if there is none."""

    def __init__(self, settings: RabbitSettings, patterns: Sequence[str], link: Callable[[], Link | None]) -> None:
        self.name = QueueName(settings.vhost, settings.queue)
        # Patterns have the syntax of AMQP topic exchanges (see domain.source_patterns), so they are binding keys.
        self.wanted = tuple(Binding(settings.exchange, pattern) for pattern in patterns)
        self._link = link

    async def bind(self, bindings: Sequence[Binding]) -> None:
        await self._connected().change_bindings(partial(topology.bind, queue=self.name.queue, bindings=bindings))

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        await self._connected().change_bindings(partial(topology.unbind, queue=self.name.queue, bindings=bindings))

    def _connected(self) -> Link:
        if (link := self._link()) is None:
            raise NotChanged("not connected to RabbitMQ")
        return link
