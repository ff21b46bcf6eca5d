"""References with Kafka: minimal programs with aiokafka.

    python -m benchmarks.bare_kafka send SERVERS TOPIC PORT

getone, then a send to one WebSocket after another: an ASGI application without a framework, under Granian with the
options that Herald uses.

    python -m benchmarks.bare_kafka decode SERVERS TOPIC COUNT
    python -m benchmarks.bare_kafka commit SERVERS TOPIC COUNT

getmany and decode, until COUNT records; prints records per second. `commit` joins a group and commits after each batch,
which is necessary to lose nothing.
"""

import asyncio
import sys
import time
import uuid
from functools import partial
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer
from granian.constants import Interfaces
from granian.server.embed import Server

from entrypoints.file_descriptors import BACKLOG

# The same value as in Herald.
MAX_BATCH_SIZE = 500


class SendLoop:
    """An ASGI application that sends each Kafka record to all connected sockets."""

    def __init__(self) -> None:
        self._sends: set[Any] = set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            self._sends.add(send)
            try:
                while (await receive())["type"] != "websocket.disconnect":
                    pass
            finally:
                self._sends.discard(send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            record = await consumer.getone()
            text = record.value.decode()
            for send in list(self._sends):
                await send({"type": "websocket.send", "text": text})


async def send_loop(servers: str, topic: str, port: int) -> None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers)
    await consumer.start()
    app = SendLoop()
    server = Server(
        app,
        port=port,
        interface=Interfaces.ASGI,
        backlog=BACKLOG,
        backpressure=BACKLOG,
        log_enabled=False,
    )
    try:
        await asyncio.gather(server.serve(), app.run(consumer))
    finally:
        await consumer.stop()


async def decode_loop(servers: str, topic: str, count: int, commits: bool = False) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=uuid.uuid4().hex if commits else None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    decode = msgspec.json.Decoder().decode
    await consumer.start()
    try:
        decoded = 0
        began = 0.0
        while decoded < count:
            batch = await consumer.getmany(timeout_ms=500, max_records=MAX_BATCH_SIZE)
            began = began or time.perf_counter()
            for records in batch.values():
                for record in records:
                    decode(record.value)
                decoded += len(records)
            if commits:
                await consumer.commit()
        print(decoded / (time.perf_counter() - began))
    finally:
        await consumer.stop()


LOOPS = {"send": send_loop, "decode": decode_loop, "commit": partial(decode_loop, commits=True)}

if __name__ == "__main__":
    kind, servers, topic, number = sys.argv[1:]
    uvloop.run(LOOPS[kind](servers, topic, int(number)))
