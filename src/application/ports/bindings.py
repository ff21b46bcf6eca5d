"""The ports for bindings: which routing keys lead to a queue of a broker, and which of them a node still wants."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class NotChanged(Exception):
    """The broker did not confirm a change of bindings: some may have been changed, and the call can be repeated."""


class QueueName(msgspec.Struct, frozen=True):
    """A queue, and the virtual host that it is in."""

    vhost: str
    queue: str


class Binding(msgspec.Struct, frozen=True, order=True):
    """Events that are published to the exchange go to the queue if their routing key matches `key`
    (a pattern: domain.patterns)."""

    exchange: str
    key: str


class RecordedBinding(msgspec.Struct, frozen=True):
    """A binding that a node has made.

    `wanted_at` is when a node last wanted it. `claimed_at` is the same, only of nodes that have not renewed their
    bindings without this one since; None if all of them have.
    """

    binding: Binding
    wanted_at: datetime
    claimed_at: datetime | None


class Bindings(Protocol):
    """Records in the shared store which bindings Herald has made, and when each node last wanted them.

    A binding that no node has recorded does not belong to Herald: it was made by an operator, or by a version that
    records none. Every method raises StoreUnavailable, having changed nothing.
    """

    async def renew(
        self, node: str, queue: QueueName, wanted: Collection[Binding], now: datetime
    ) -> frozenset[Binding]:
        """Records that the node wants these bindings, and no others. Returns those that were not recorded before: the
        node must make them, after this call."""

    async def recorded(self, queue: QueueName) -> tuple[RecordedBinding, ...]:
        """Returns all recorded bindings of the queue, in no particular order."""

    async def remove(
        self, queue: QueueName, before: datetime, unbind: Callable[[Sequence[Binding]], Awaitable[None]]
    ) -> tuple[Binding, ...]:
        """Removes the bindings that no node has wanted since `before`: calls `unbind` with them, if there are any, and
        deletes their records once it has returned. Returns them.

        Renewals wait meanwhile, so a node that wants one of them again makes it after its removal. `unbind` may be
        called again with the same bindings; it must return within 3 s. Its exceptions are raised, and the records stay.
        """


class BoundQueue(Protocol):
    """A queue that a node reads, and its bindings at the broker."""

    @property
    def name(self) -> QueueName: ...

    @property
    def wanted(self) -> tuple[Binding, ...]:
        """The bindings that this node's routes need. They are made with each connection."""

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Makes bindings; no-op for those that exist. Raises NotChanged."""

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Removes bindings; no-op for those that do not exist. Returns within 3 s, or raises NotChanged."""
