"""The ports for bindings: which routing keys lead to a queue of a broker, and which of these bindings a node still
needs."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class NotChanged(Exception):
    """The broker did not confirm a change of bindings. Some may have been changed; the call can be repeated."""


class QueueName(msgspec.Struct, frozen=True):
    """A queue and its virtual host."""

    vhost: str
    queue: str


class Binding(msgspec.Struct, frozen=True, order=True):
    """A binding of a queue to an exchange: the queue receives the events whose routing key matches `key` (a pattern:
    domain.source_patterns)."""

    exchange: str
    key: str


class RecordedBinding(msgspec.Struct, frozen=True):
    """A binding that a node has made.

    `wanted_at` is the last time at which any node renewed it. `claimed_at` is the last time at which it was renewed by
    a node whose latest renewal includes it; None if no node's latest renewal does.
    """

    binding: Binding
    wanted_at: datetime
    claimed_at: datetime | None


class Bindings(Protocol):
    """Records in the shared store which bindings Herald has made, and when each node last needed them.

    A binding that no node has recorded does not belong to Herald: it was made by an operator, or by a Herald version
    that did not record bindings. Every method raises StoreUnavailable, having changed nothing.
    """

    async def renew(
        self, node: str, queue: QueueName, wanted: Collection[Binding], now: datetime
    ) -> frozenset[Binding]:
        """Records that the node needs these bindings, and no others. Returns those that were not recorded before: the
        node must make them, after this call."""

    async def recorded(self, queue: QueueName) -> tuple[RecordedBinding, ...]:
        """Returns all recorded bindings of the queue, in no particular order."""

    async def remove(
        self, queue: QueueName, before: datetime, unbind: Callable[[Sequence[Binding]], Awaitable[None]]
    ) -> tuple[Binding, ...]:
        """Removes the bindings that no node has needed since `before`, and returns them. Calls `unbind` with them,
        unless there are none, and deletes their records once `unbind` has returned.

        Renewals block until then, so a node that needs a removed binding again makes it after the removal. `unbind` may
        be called again with the same bindings; it must return within 3 s. If it raises, the exception is raised and the
        records stay.
        """


class BoundQueue(Protocol):
    """A queue that a node reads, and its bindings at the broker."""

    @property
    def name(self) -> QueueName: ...

    @property
    def wanted(self) -> tuple[Binding, ...]:
        """The bindings that this node's routes need. The node makes them each time it connects to the broker."""

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Makes bindings; a no-op for those that exist. Raises NotChanged."""

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Removes bindings; a no-op for those that do not exist. Returns within 3 s, or raises NotChanged."""
