"""Stores start offsets: where Kafka consumer groups begin to read."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.tables import KafkaPatternRow, KafkaStartOffsetRow
from application.ports.start_offsets import ConsumerGroup, Partition, StartOffset


class _PatternStored(Exception):
    """Raised within a transaction to roll it back, if one of the patterns to add is stored already."""


class SqlStartOffsets:
    """Implements the port StartOffsets on the tables `kafka_patterns` and `kafka_start_offsets`.

    If several nodes add the same pattern at the same time, `add` succeeds on one of them. On the others, the INSERT
    waits for the first node's transaction, and `add` then returns False. Rows are inserted in sorted order, so nodes
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
                    raise _PatternStored
            if offset_rows:
                await connection.execute(insert_offset, offset_rows)

        try:
            await self._database.write(store)
        except _PatternStored:
            return False
        return True
