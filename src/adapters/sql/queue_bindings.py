"""Stores which bindings of RabbitMQ queues Herald has made, and when each node last needed them."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Table, and_, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.tables import BindingRow
from application.ports.bindings import Binding, QueueName, RecordedBinding

_TABLE: Final = cast(Table, BindingRow.__table__)
_COLUMN: Final = _TABLE.c
_KEY: Final = tuple(_TABLE.primary_key.columns.keys())

# This lock excludes itself but not readers, so a renewal waits for a removal in progress. SQLite needs no lock, because
# it has only one writer.
_LOCK: Final = text("LOCK TABLE bindings IN SHARE ROW EXCLUSIVE MODE")


class SqlBindings:
    """Implements the port Bindings on the table `bindings`. Each row says when one node last needed one binding."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(
        self, node: str, queue: QueueName, wanted: Collection[Binding], now: datetime
    ) -> frozenset[Binding]:
        claims = [
            {
                "vhost": queue.vhost,
                "queue": queue.queue,
                "exchange": binding.exchange,
                "key": binding.key,
                "node": node,
                "is_wanted": True,
                "wanted_at": now,
            }
            for binding in sorted(wanted)
        ]
        upsert = self._database.insert(BindingRow)
        upsert = upsert.on_conflict_do_update(
            index_elements=_KEY, set_={"is_wanted": True, "wanted_at": upsert.excluded.wanted_at}
        )

        async def store(connection: AsyncConnection) -> frozenset[Binding]:
            await self._lock(connection)
            known = await _recorded(connection, queue)
            await connection.execute(update(BindingRow).where(_of(queue), _COLUMN.node == node).values(is_wanted=False))
            if claims:
                await connection.execute(upsert, claims)
            return frozenset(wanted) - {one.binding for one in known}

        return await self._database.write(store)

    async def recorded(self, queue: QueueName) -> tuple[RecordedBinding, ...]:
        return await self._database.read(lambda connection: _recorded(connection, queue))

    async def needs(self, queue: QueueName, since: datetime) -> Mapping[str, frozenset[Binding]]:
        claims = select(_COLUMN.node, _COLUMN.exchange, _COLUMN.key).where(
            _of(queue), _COLUMN.is_wanted, _COLUMN.wanted_at >= since
        )
        found: dict[str, set[Binding]] = {}
        for node, exchange, key in await self._database.fetch(claims, {}):
            found.setdefault(node, set()).add(Binding(exchange, key))
        return {node: frozenset(bindings) for node, bindings in found.items()}

    async def remove(
        self, queue: QueueName, before: datetime, unbind: Callable[[Sequence[Binding]], Awaitable[None]]
    ) -> tuple[Binding, ...]:
        # Usually no claim has expired, so look without the lock first.
        old = and_(_of(queue), _COLUMN.wanted_at < before)
        if not await self._database.fetch(select(_COLUMN.key).where(old).limit(1), {}):
            return ()

        async def store(connection: AsyncConnection) -> tuple[Binding, ...]:
            await self._lock(connection)
            known = await _recorded(connection, queue)
            expired = tuple(one.binding for one in known if one.wanted_at < before)
            if expired:
                await unbind(expired)
            # Also deletes the expired claims on bindings that other nodes still claim.
            await connection.execute(delete(BindingRow).where(old))
            return expired

        return await self._database.write(store)

    async def _lock(self, connection: AsyncConnection) -> None:
        if self._database.is_postgresql:
            await connection.execute(_LOCK)


def _of(queue: QueueName) -> ColumnElement[bool]:
    return and_(_COLUMN.vhost == queue.vhost, _COLUMN.queue == queue.queue)


async def _recorded(connection: AsyncConnection, queue: QueueName) -> tuple[RecordedBinding, ...]:
    columns = (_COLUMN.exchange, _COLUMN.key, _COLUMN.is_wanted, _COLUMN.wanted_at)
    claims: dict[Binding, list[tuple[bool, datetime]]] = {}
    rows: Iterable[Any] = await connection.execute(select(*columns).where(_of(queue)))
    for exchange, key, is_wanted, wanted_at in rows:
        claims.setdefault(Binding(exchange, key), []).append((is_wanted, wanted_at))
    return tuple(
        RecordedBinding(
            binding,
            max(wanted_at for _, wanted_at in of_nodes),
            max((wanted_at for is_wanted, wanted_at in of_nodes if is_wanted), default=None),
        )
        for binding, of_nodes in claims.items()
    )
