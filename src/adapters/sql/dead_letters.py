"""Lists and deletes stored dead letters, for administrators. Dead letters are stored by `SqlStore.record`."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from advanced_alchemy.filters import CollectionFilter, ComparisonFilter, LimitOffset, OrderBy, StatementFilter
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import delete, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch_rows import decode_dead_letter
from adapters.sql.database import Database
from adapters.sql.open_repository import open_repository
from adapters.sql.queries import letters
from adapters.sql.tables import DeadLetterRow
from application.ports.dead_letters import ANY, DeadLetterFilter, KeptDeadLetter


class _Rows(SQLAlchemyAsyncRepository[DeadLetterRow]):
    model_type = DeadLetterRow


class SqlDeadLetters:
    """Implements the port DeadLetters on the table `dead_letters`. Ids are UUIDv7, so a later dead letter has a greater
    id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        filters = [*_filters(filter), OrderBy("id", "desc"), LimitOffset(limit, 0)]
        if before is not None:
            filters.append(ComparisonFilter("id", "lt", before))
        return await self._many(*filters)

    async def count(self, filter: DeadLetterFilter) -> int:
        async def ask(connection: AsyncConnection) -> int:
            async with open_repository(_Rows, connection) as rows:
                return await rows.count(*_filters(filter))

        return await self._database.read(ask)

    async def get(self, id: UUID) -> KeptDeadLetter | None:
        async def ask(connection: AsyncConnection) -> KeptDeadLetter | None:
            async with open_repository(_Rows, connection) as rows:
                row = await rows.get_one_or_none(id=id)
                return _dead_letter(row) if row is not None else None

        return await self._database.read(ask)

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        if not ids:
            return {}
        return {one.id: one for one in await self._many(CollectionFilter("id", ids))}

    async def drop(self, dead_letters: Sequence[KeptDeadLetter]) -> int:
        if not dead_letters:
            return 0
        unchanged = tuple_(letters.c.id, letters.c.times).in_([(one.id, one.times) for one in dead_letters])

        async def store(connection: AsyncConnection) -> int:
            return (await connection.execute(delete(letters).where(unchanged))).rowcount

        return await self._database.write(store)

    async def _many(self, *filters: StatementFilter) -> tuple[KeptDeadLetter, ...]:
        async def ask(connection: AsyncConnection) -> tuple[KeptDeadLetter, ...]:
            async with open_repository(_Rows, connection) as rows:
                return tuple(_dead_letter(row) for row in await rows.get_many(*filters))

        return await self._database.read(ask)


def _filters(filter: DeadLetterFilter) -> list[StatementFilter]:
    comparisons: list[tuple[str, Any, Any]] = [
        ("source", "eq", filter.source),
        ("reason", "eq", filter.reason),
        ("kept_at", "ge", filter.start),
        ("kept_at", "le", filter.end),
    ]
    return [ComparisonFilter(column, operator, value) for column, operator, value in comparisons if value is not None]


def _dead_letter(row: DeadLetterRow) -> KeptDeadLetter:
    return KeptDeadLetter(row.id, row.kept_at, decode_dead_letter(row.letter), row.times)
