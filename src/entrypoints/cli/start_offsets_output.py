"""The output of `herald routes check --broker`: for each partition, the offset at which Herald would start to read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError

from adapters.kafka.group_start_offsets import GroupStartOffsets, Reason, StartPosition
from adapters.kafka.settings import KafkaSettings, client_options
from adapters.kafka.timing import Timing
from adapters.kafka.topic_patterns import Topics
from adapters.memory.start_offsets import MemoryStartOffsets
from adapters.sql.schema import DatabaseUnusable, SchemaOutdated
from adapters.sql.settings import MEMORY, SQLITE
from adapters.sql.start_offsets import SqlStartOffsets
from application.ports.start_offsets import StartOffsets
from application.ports.store import StoreUnavailable
from domain.route_table import RouteTable
from entrypoints.prepare_database import StartRefused, open_database
from entrypoints.settings.loader import Settings

REASONS: Final[dict[Reason, str]] = {
    "committed": "the group's committed offset",
    "remembered": "the offset that was stored when a route first named it",
    "end": "its end: Herald has never read it, and older records are not sent",
    "beginning": "its beginning",
    "recreated": "its beginning: it was deleted and created again",
}


class BrokerUnreachable(Exception):
    """Kafka or the database can't be read. The text says which of them, and why."""


def start_offset_lines(table: RouteTable, settings: Settings) -> Iterator[str]:
    """Yields a line for each partition of the topics that the routes read: the offset at which Herald would start to
    read the partition, and the reason. Raises BrokerUnreachable if Kafka or the database can't be read."""
    kafka = settings.of(KafkaSettings)
    patterns = table.sources("kafka", settings.routing.broker)
    if not patterns:
        yield "  No events are consumed from Kafka, so there are no start offsets."
        return
    # aiokafka logs each failed attempt to connect as an error; the command reports the last failure itself.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        found = asyncio.run(_survey(patterns, settings))
    except (KafkaError, TimeoutError, OSError, ValueError) as error:
        raise BrokerUnreachable(f"Kafka at {kafka.servers}: {str(error) or type(error).__name__}") from None
    except (StoreUnavailable, DatabaseUnusable, SchemaOutdated, StartRefused) as error:
        raise BrokerUnreachable(f"The stored offsets in the database can't be read: {error}") from None
    yield f"Kafka at {kafka.servers}, group {kafka.group}:"
    for beginning in found:
        count = beginning.end - beginning.offset
        waiting = f", {count} record{' waits' if count == 1 else 's wait'}" if count > 0 else ""
        where = f"{beginning.partition.topic}/{beginning.partition.partition}"
        yield f"  {where} begins at {beginning.offset} of {beginning.end}, {REASONS[beginning.reason]}{waiting}"
    for topic in Topics(patterns).missing({beginning.partition.topic for beginning in found}):
        yield (
            f"  {topic} does not exist: if it is created after Herald has been started with this route, Herald reads it"
            " from its first record"
        )


async def _survey(patterns: Sequence[str], settings: Settings) -> list[StartPosition]:
    kafka = settings.of(KafkaSettings)
    async with _start_offsets(settings) as starts:
        return await GroupStartOffsets(kafka, client_options(kafka), patterns, starts, Timing()).survey()


@asynccontextmanager
async def _start_offsets(settings: Settings) -> AsyncIterator[StartOffsets]:
    """Yields the store of start offsets in the database. If the database is in memory, has no tables yet, or is an
    SQLite file that does not exist, yields an empty store, and changes nothing."""
    if _has_no_database(settings.database.url):
        yield MemoryStartOffsets()
        return
    async with open_database(settings) as (database, schema):
        if await schema.current() is None:
            yield MemoryStartOffsets()
            return
        await schema.verify()
        yield SqlStartOffsets(database)


def _has_no_database(url: str) -> bool:
    return url == MEMORY or (url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists())
