"""Bodies that are compressed or in another character set, from a real broker."""

import gzip
import uuid
import zlib
from pathlib import Path

from pamqp.commands import Basic

from adapters.memory.backplane import MemoryBackplane
from adapters.rabbitmq.source import RabbitSource
from application.counters import Counters
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.dead_letters import ANY
from domain.event_limits import Limits
from tests.support.core import HandClock, in_force
from tests.support.rabbitmq import RealRabbit
from tests.support.reading import ready, until
from tests.support.stores import sqlite

BODY = '{"to":"ada","text":"Zoë"}'
LIMIT = 10_000


async def test_bodies_are_decoded_or_become_dead_letters_that_name_the_encoding(
    real_rabbit: RealRabbit, tmp_path: Path
) -> None:
    queue = f"queue-{uuid.uuid4().hex}"
    sent = [
        (gzip.compress(BODY.encode(), mtime=0), {"content_encoding": "gzip"}),
        (zlib.compress(BODY.encode()), {"content_encoding": "deflate"}),
        (BODY.encode("latin-1"), {"content_encoding": "iso-8859-1"}),
        (BODY.encode("utf-16"), {"content_type": "application/json; charset=utf-16"}),
        (b"\x8b\x00", {"content_encoding": "br"}),
        (gzip.compress(b"0" * 10_000_000, mtime=0), {"content_encoding": "gzip"}),
    ]
    source = RabbitSource(real_rabbit.settings(queue), ["direct"], max_event_bytes=LIMIT)
    counters = Counters()
    async with sqlite((tmp_path, lambda: None)) as stores:
        note_duplicates = NoteDuplicates(HandClock(), counters)
        store_plans = StorePlans(stores.store, HandClock(), StoragePolicy())
        ingest = IngestEvents(
            in_force(), store_plans, MemoryBackplane(), counters, note_duplicates, Limits(event_bytes=LIMIT)
        )
        consumer = ConsumeEvents(ingest, source, RetryPolicy())
        await consumer.start()
        try:
            await ready(source)
            async with real_rabbit.channel() as channel:
                for body, properties in sent:
                    await channel.basic_publish(
                        body, exchange=queue, routing_key="direct", properties=Basic.Properties(**properties)
                    )
            await until(lambda: counters.events_in["rabbitmq"] == len(sent), what=lambda: counters.events_in)
        finally:
            await consumer.stop(5)
        page = await stores.store.arrivals("inbox:ada", 0, 10)
        assert [entry.content.body for entry in page.entries] == [BODY] * 4
        bomb, unsupported = (one.letter for one in await stores.dead_letters.newest(10, ANY))
        assert (unsupported.reason, "'br'" in unsupported.detail) == ("not_utf8", True)
        assert (bomb.reason, "10000 bytes" in bomb.detail) == ("too_large", True)
        # The body is stored as received, so that the dead letter can be replayed.
        assert (bomb.message.body, bomb.message.encoding) == (sent[-1][0], "gzip")
