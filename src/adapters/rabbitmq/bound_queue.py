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
        self._exchange = settings.exchange
        self.wanted = self.bindings_for(patterns)
        self.unbound: frozenset[Binding] = frozenset()
        self._link = link

    @property
    def bound(self) -> tuple[Binding, ...]:
        """The bindings that are made when the source connects."""
        return tuple(binding for binding in self.wanted if binding not in self.unbound)

    def bindings_for(self, patterns: Sequence[str]) -> tuple[Binding, ...]:
        # Patterns have the syntax of AMQP topic exchanges (see domain.source_patterns), so they are binding keys.
        return tuple(Binding(self._exchange, pattern) for pattern in patterns)

    def change_patterns(self, patterns: Sequence[str]) -> None:
        """Replaces `wanted` by the bindings for these patterns. The added ones are in `unbound` until `bind` has made
        them."""
        wanted = self.bindings_for(patterns)
        added = set(wanted).difference(self.wanted)
        self.unbound = self.unbound.intersection(wanted) | added
        self.wanted = wanted

    async def bind(self, bindings: Sequence[Binding]) -> None:
        await self._connected().change_bindings(partial(topology.bind, queue=self.name.queue, bindings=bindings))
        self.unbound = self.unbound.difference(bindings)

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        await self._connected().change_bindings(partial(topology.unbind, queue=self.name.queue, bindings=bindings))

    def _connected(self) -> Link:
        if (link := self._link()) is None:
            raise NotChanged("not connected to RabbitMQ")
        return link
