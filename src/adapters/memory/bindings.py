"""Stores in memory which bindings of RabbitMQ queues Herald has made."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime

from adapters.memory.shared_records import BindingClaim, MemoryRecords
from application.ports.bindings import Binding, QueueName, RecordedBinding


class MemoryBindings:
    """Implements the port Bindings, for RabbitMQ queues, on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords) -> None:
        self._claims = records.binding_claims
        # `remove` waits for the broker while it holds this lock, so that no binding is renewed meanwhile.
        self._lock = asyncio.Lock()

    async def renew(
        self, node: str, queue: QueueName, wanted: Collection[Binding], now: datetime
    ) -> frozenset[Binding]:
        async with self._lock:
            claims = self._claims.setdefault(queue, {})
            missing = frozenset(wanted) - claims.keys()
            for binding, of_nodes in claims.items():
                if binding not in wanted and node in of_nodes:
                    of_nodes[node].is_wanted = False
            for binding in wanted:
                claims.setdefault(binding, {})[node] = BindingClaim(now)
            return missing

    async def recorded(self, queue: QueueName) -> tuple[RecordedBinding, ...]:
        return tuple(
            RecordedBinding(
                binding,
                max(claim.wanted_at for claim in of_nodes.values()),
                max((claim.wanted_at for claim in of_nodes.values() if claim.is_wanted), default=None),
            )
            for binding, of_nodes in self._claims.get(queue, {}).items()
        )

    async def needs(self, queue: QueueName, since: datetime) -> Mapping[str, frozenset[Binding]]:
        found: dict[str, set[Binding]] = {}
        for binding, of_nodes in self._claims.get(queue, {}).items():
            for node, claim in of_nodes.items():
                if claim.is_wanted and claim.wanted_at >= since:
                    found.setdefault(node, set()).add(binding)
        return {node: frozenset(bindings) for node, bindings in found.items()}

    async def remove(
        self, queue: QueueName, before: datetime, unbind: Callable[[Sequence[Binding]], Awaitable[None]]
    ) -> tuple[Binding, ...]:
        async with self._lock:
            expired = tuple(one.binding for one in await self.recorded(queue) if one.wanted_at < before)
            if expired:
                await unbind(expired)
            for binding in expired:
                del self._claims[queue][binding]
            return expired
