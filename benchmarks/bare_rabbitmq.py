"""The reference with RabbitMQ and PostgreSQL: the least that a program can do with aio-pika and asyncpg.

    python -m benchmarks.bare_rabbitmq PORT QUEUE COUNT DATABASE_URL

Consumes with a bounded prefetch, takes what is there (500 at most), writes a row for each recipient by one executemany
in one transaction, acknowledges all of it at once; until so many events; prints rows a second. The rows are those of
`benchmarks.bare_store`.
"""

import asyncio
import sys
import time
from typing import Final

import aio_pika
import msgspec
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.bare_kafka import BATCH
from benchmarks.bare_store import Rows, write_batch
from benchmarks.postgres import connected
from benchmarks.store import TOPIC

# As many as Herald is handed by default.
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
        taken = written = 0
        began = 0.0
        while taken < count:
            batch = [await arrived.get()]
            began = began or time.perf_counter()
            while len(batch) < BATCH and not arrived.empty():
                batch.append(arrived.get_nowait())
            some = list(rows.of([Record(message.body) for message in batch]))
            await write_batch(database, some)
            await batch[-1].ack(multiple=True)
            taken += len(batch)
            written += len(some)
        print(written / (time.perf_counter() - began))


if __name__ == "__main__":
    port, queue, number, url = sys.argv[1:]
    uvloop.run(main(int(port), queue, int(number), url))
