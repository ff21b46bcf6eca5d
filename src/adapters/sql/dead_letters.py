"""Dead letters, as those look through them who run Herald. Recordings put them there."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from advanced_alchemy.filters import CollectionFilter, ComparisonFilter, LimitOffset, OrderBy, StatementFilter
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import delete, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from adapters.sql.batch import read_letter
from adapters.sql.database import Database
from adapters.sql.queries import letters
from adapters.sql.tables import DeadLetterRow
from application.ports.dead_letters import ANY, DeadLetterFilter, KeptDeadLetter


class _Rows(SQLAlchemyAsyncRepository[DeadLetterRow]):
    model_type = DeadLetterRow


class SqlDeadLetters:
    """Implements DeadLetters. Ids are UUIDv7, so their order is that of keeping."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(
        self, limit: int, filter: DeadLetterFilter = ANY, before: UUID | None = None
    ) -> tuple[KeptDeadLetter, ...]:
        filters = [*_filters(filter), OrderBy("id", "desc"), LimitOffset(limit, 0)]
        if before is not None:
            filters.append(ComparisonFilter("id", "lt", before))

        async def ask(connection: AsyncConnection) -> tuple[KeptDeadLetter, ...]:
            return tuple(_kept(row) for row in await _rows(connection).get_many(*filters))

        return await self._database.read(ask)

    async def count(self, filter: DeadLetterFilter) -> int:
        return await self._database.read(lambda connection: _rows(connection).count(*_filters(filter)))

    async def get(self, id: UUID) -> KeptDeadLetter | None:
        async def ask(connection: AsyncConnection) -> KeptDeadLetter | None:
            row = await _rows(connection).get_one_or_none(id=id)
            return _kept(row) if row is not None else None

        return await self._database.read(ask)

    async def some(self, ids: Collection[UUID]) -> dict[UUID, KeptDeadLetter]:
        if not ids:
            return {}

        async def ask(connection: AsyncConnection) -> dict[UUID, KeptDeadLetter]:
            found = await _rows(connection).get_many(CollectionFilter("id", ids))
            return {row.id: _kept(row) for row in found}

        return await self._database.read(ask)

    async def drop(self, letters_: Sequence[KeptDeadLetter]) -> int:
        if not letters_:
            return 0
        as_seen = tuple_(letters.c.id, letters.c.times).in_([(letter.id, letter.times) for letter in letters_])

        async def store(connection: AsyncConnection) -> int:
            return (await connection.execute(delete(letters).where(as_seen))).rowcount

        return await self._database.write(store)


def _rows(connection: AsyncConnection) -> _Rows:
    return _Rows(session=AsyncSession(connection), wrap_exceptions=False)


def _filters(filter: DeadLetterFilter) -> list[StatementFilter]:
    wanted: list[tuple[str, Any, Any]] = [
        ("source", "eq", filter.source),
        ("reason", "eq", filter.reason),
        ("kept_at", "ge", filter.start),
        ("kept_at", "le", filter.end),
    ]
    return [ComparisonFilter(field, how, value) for field, how, value in wanted if value is not None]


def _kept(row: DeadLetterRow) -> KeptDeadLetter:
    return KeptDeadLetter(row.id, row.kept_at, read_letter(row.letter), row.times)
