"""Start offsets of Kafka consumer groups."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.tables import KafkaPatternRow, KafkaStartOffsetRow
from application.ports.start_offsets import ConsumerGroup, Partition, StartOffset


class _PatternKnown(Exception):
    """Raised to roll the transaction back if another node has added one of the patterns."""


class SqlStartOffsets:
    """Implements StartOffsets.

    If several nodes add the same pattern, only the first one succeeds. The others wait for its transaction, because of
    the primary key of the patterns, and then find the pattern stored. Rows are written in sorted order, so that nodes
    can't deadlock.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def patterns(self, group: ConsumerGroup) -> dict[str, datetime]:
        row = KafkaPatternRow
        statement = select(row.pattern, row.configured_at).where(row.cluster == group.cluster, row.name == group.name)
        return {found.pattern: found.configured_at for found in await self._database.fetch(statement, {})}

    async def offsets(self, group: ConsumerGroup) -> dict[Partition, StartOffset]:
        row = KafkaStartOffsetRow
        statement = select(row.topic, row.partition, row.start_offset, row.decided_at).where(
            row.cluster == group.cluster, row.name == group.name
        )
        rows = await self._database.fetch(statement, {})
        return {(found.topic, found.partition): StartOffset(found.start_offset, found.decided_at) for found in rows}

    async def add(
        self, group: ConsumerGroup, patterns: Collection[str], offsets: Mapping[Partition, int], now: datetime
    ) -> bool:
        owner = {"cluster": group.cluster, "name": group.name}
        pattern_rows = [{**owner, "pattern": pattern, "configured_at": now} for pattern in sorted(patterns)]
        offset_rows = [
            {**owner, "topic": topic, "partition": partition, "start_offset": offset, "decided_at": now}
            for (topic, partition), offset in sorted(offsets.items())
        ]
        insert_patterns = self._database.insert(KafkaPatternRow).values(pattern_rows).on_conflict_do_nothing()
        insert_offset = self._database.insert(KafkaStartOffsetRow).on_conflict_do_nothing()

        async def store(connection: AsyncConnection) -> None:
            if pattern_rows:
                added = await connection.execute(insert_patterns.returning(KafkaPatternRow.pattern))
                if len(added.all()) < len(pattern_rows):
                    raise _PatternKnown
            if offset_rows:
                await connection.execute(insert_offset, offset_rows)

        try:
            await self._database.write(store)
        except _PatternKnown:
            return False
        return True
