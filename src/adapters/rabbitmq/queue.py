"""The queue that a source reads, and its bindings."""

from collections.abc import Callable, Sequence
from functools import partial

from adapters.rabbitmq import topology
from adapters.rabbitmq.link import Link
from adapters.rabbitmq.settings import RabbitSettings
from application.ports.bindings import Binding, NotChanged, QueueName


class RabbitQueue:
    """Implements BoundQueue, on the connection that the source has at the moment."""

    def __init__(self, settings: RabbitSettings, patterns: Sequence[str], link: Callable[[], Link | None]) -> None:
        self.name = QueueName(settings.vhost, settings.queue)
        # AMQP's topic exchanges gave the patterns their grammar: see domain.patterns.
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
