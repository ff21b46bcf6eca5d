"""Reference with RabbitMQ and PostgreSQL: a minimal program with aio-pika and asyncpg.

    python -m benchmarks.bare_rabbitmq PORT QUEUE COUNT DATABASE_URL

Consumes with a bounded prefetch, writes a row for each recipient of the available messages (at most 500) with one
executemany in one transaction, and acknowledges them together, until COUNT events; prints rows per second. The rows are
those of `benchmarks.bare_store`.
"""

import asyncio
import sys
import time
from typing import Final

import aio_pika
import msgspec
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.bare_kafka import MAX_BATCH_SIZE
from benchmarks.bare_store import Rows, write_batch
from benchmarks.postgres import connected
from benchmarks.store import TOPIC

# Herald's default.
PREFETCH: Final = 1_000


class Record(msgspec.Struct):
    value: bytes


async def main(port: int, queue: str, count: int, url: str) -> None:
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    rows = Rows(TOPIC)
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/")
    async with connection, connected(url) as database:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        source = await channel.get_queue(queue, ensure=False)
        await source.consume(arrived.put)
        consumed = written = 0
        began = 0.0
        while consumed < count:
            batch = [await arrived.get()]
            began = began or time.perf_counter()
            while len(batch) < MAX_BATCH_SIZE and not arrived.empty():
                batch.append(arrived.get_nowait())
            batch_rows = list(rows.of([Record(message.body) for message in batch]))
            await write_batch(database, batch_rows)
            await batch[-1].ack(multiple=True)
            consumed += len(batch)
            written += len(batch_rows)
        print(written / (time.perf_counter() - began))


if __name__ == "__main__":
    port, queue, number, url = sys.argv[1:]
    uvloop.run(main(int(port), queue, int(number), url))
