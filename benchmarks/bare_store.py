"""References with Kafka and PostgreSQL: minimal programs with aiokafka and asyncpg.

    python -m benchmarks.bare_store batches SERVERS TOPIC COUNT DATABASE_URL
    python -m benchmarks.bare_store singles SERVERS TOPIC COUNT DATABASE_URL

Calls getmany, writes a row for each recipient and commits to Kafka, until COUNT records are read. Prints rows per
second. `batches` writes a batch with one executemany in one transaction. `singles` does as the replaced service: one
INSERT per recipient, each awaited. The rows are those that Herald stores, in the same table; no rows are looked up, and
no unread counts are maintained.
"""

import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from adapters.clock import Uuid7Factory
from benchmarks.bare_kafka import MAX_BATCH_SIZE
from benchmarks.postgres import connected

COLUMNS: Final = (
    "id, user_id, seq, changed, created_at, updated_at, origin, event_id, source, notification_type, profile, envelope,"
    " body, event_time, title, message, data"
)
INSERT: Final = (
    f"INSERT INTO notifications ({COLUMNS})"
    " VALUES ($1, $2, $3, $3, $4, $4, $5, $6, $5, 'risk_alert', 'trading', 'typed', $7, $8, $9, $10, $11)"
)

new_id = Uuid7Factory().new_id
decode = msgspec.json.Decoder().decode


class Rows:
    """Converts records to rows. The rows of each user are numbered from 1, as Herald numbers positions."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._counts: Counter[str] = Counter()

    def of(self, records: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        now = datetime.now(UTC)
        for record in records:
            event = decode(record.value)
            text = record.value.decode()
            time_ = datetime.fromisoformat(event["timestamp"])
            for user in event["user_id"]:
                self._counts[user] += 1
                yield (
                    new_id(),
                    user,
                    self._counts[user],
                    now,
                    self._topic,
                    event["event_id"],
                    text,
                    time_,
                    "Risk alert",
                    event["message"],
                    text,
                )


async def write_batch(connection: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    async with connection.transaction():
        await connection.executemany(INSERT, rows)


async def write_singles(connection: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    for row in rows:
        await connection.execute(INSERT, *row)


WRITERS: Final = {"batches": write_batch, "singles": write_singles}


async def main(kind: str, servers: str, topic: str, count: int, url: str) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=uuid.uuid4().hex,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    rows = Rows(topic)
    write = WRITERS[kind]
    await consumer.start()
    try:
        async with connected(url) as connection:
            consumed = written = 0
            began = 0.0
            while consumed < count:
                batch = await consumer.getmany(timeout_ms=500, max_records=MAX_BATCH_SIZE)
                began = began or time.perf_counter()
                for records in batch.values():
                    batch_rows = list(rows.of(records))
                    await write(connection, batch_rows)
                    consumed += len(records)
                    written += len(batch_rows)
                await consumer.commit()
            print(written / (time.perf_counter() - began))
    finally:
        await consumer.stop()


if __name__ == "__main__":
    kind, servers, topic, number, url = sys.argv[1:]
    uvloop.run(main(kind, servers, topic, int(number), url))
