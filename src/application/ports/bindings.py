"""The ports for bindings: changing the bindings of a broker's queue, and recording which of them nodes still need."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class NotChanged(Exception):
    """The broker did not confirm a change of bindings. Some bindings may have been changed. The call may be
    repeated."""


class QueueName(msgspec.Struct, frozen=True):
    """The name of a queue and of the virtual host that it belongs to."""

    vhost: str
    queue: str


class Binding(msgspec.Struct, frozen=True, order=True):
    """A rule of the broker: a queue receives the events of `exchange` whose routing key matches the pattern `key`, for
    example `order.*` (domain.source_patterns)."""

    exchange: str
    key: str


class RecordedBinding(msgspec.Struct, frozen=True):
    """A binding that Herald has made, and when nodes last needed it.

    `wanted_at`: the last time at which any node recorded, by Bindings.renew, that it needs the binding. `claimed_at`:
    the same, but only of nodes whose latest call of Bindings.renew includes the binding; None if there is no such node.
    """

    binding: Binding
    wanted_at: datetime
    claimed_at: datetime | None


class Bindings(Protocol):
    """Records, in the store that all nodes share, which bindings Herald has made and when nodes last needed them.

    A binding without a record does not belong to Herald and is never removed: it was made by an operator, or by a
    version of Herald that did not record bindings. Every method raises StoreUnavailable, having changed no record.
    """

    async def renew(
        self, node: str, queue: QueueName, wanted: Collection[Binding], now: datetime
    ) -> frozenset[Binding]:
        """Records that the node needs the bindings `wanted` of the queue at the time `now`, and no others. Returns
        those of them that had no record yet: the node must make these at the broker, after this call."""

    async def recorded(self, queue: QueueName) -> tuple[RecordedBinding, ...]:
        """Returns all recorded bindings of the queue, in no particular order."""

    async def needs(self, queue: QueueName, since: datetime) -> Mapping[str, frozenset[Binding]]:
        """Returns which bindings of the queue each node needs, by the name of the node, according to its last renewal.
        Nodes that have not renewed a binding since then are left out."""

    async def remove(
        self, queue: QueueName, before: datetime, unbind: Callable[[Sequence[Binding]], Awaitable[None]]
    ) -> tuple[Binding, ...]:
        """Removes the bindings of the queue that no node has needed since `before`: calls `unbind` to remove them at
        the broker, then deletes their records. Returns the removed bindings. If there are none, `unbind` is not called.

        `unbind` must return within 3 s, because `renew` waits until the removal has ended, and must accept bindings
        that do not exist any more. If `unbind` raises an exception, this method raises it too, and keeps the records.
        """


class BoundQueue(Protocol):
    """A queue of a broker that a node reads. Makes and removes the bindings of the queue at the broker."""

    @property
    def name(self) -> QueueName: ...

    @property
    def wanted(self) -> tuple[Binding, ...]:
        """The bindings that this node's routes need. The node makes them each time it connects to the broker, except
        those in `unbound`."""

    @property
    def unbound(self) -> frozenset[Binding]:
        """Those of `wanted` that were added while the node runs and that `bind` has not made yet."""

    def bindings_for(self, patterns: Sequence[str]) -> tuple[Binding, ...]:
        """Returns the bindings that routes with these source patterns need."""

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Makes the bindings at the broker. Those that exist already stay as they are. Raises NotChanged."""

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Removes the bindings at the broker. Those that do not exist are ignored. Returns within 3 s, or raises
        NotChanged."""
