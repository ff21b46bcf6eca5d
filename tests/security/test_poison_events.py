"""No event stops ingest: whatever text it contains, it is stored or becomes a dead letter, on every store, and the
other events of its batch are stored."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.clock import SystemClock
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.ports.dead_letters import DeadLetterFilter
from application.ports.deliveries import DeliveryFilter
from domain.broker_messages import Message
from domain.planning import plan
from tests.support.core import message, table
from tests.support.stores import STORES, Stores, check_counters, head

ROUTES = table(
    """
profile = "p"
[feeds.f]
access = "public"
[[routes]]
source = "bye"
sign_out = "to"
[[routes]]
source = "note"
users = ["to"]
as_type = "note"
inbox = { title = "{title}", message = "{text}" }
[[routes]]
source = "typed.#"
users = ["to"]
[[routes]]
source = "raw"
users = ["to"]
envelope = "raw"
[[routes]]
source = "feed.#"
feed = "f"
envelope = "flat"
[[routes]]
source = "mail"
email = { to = "mail", subject = "{title}", template = "t.html", user = "to" }
reference = "order_id"
"""
)

CHANCE = random.Random(33)
# Random text, which no index can compress.
NOISE = "".join(chr(CHANCE.randrange(0x10000, 0x1F000)) for _ in range(20_000))
ASCII_NOISE = "".join(chr(CHANCE.randrange(33, 127)) for _ in range(20_000))
HALF = "\ud800"

# The first event stopped ingest when it came twice.
EVENTS: list[Any] = [
    {"specversion": "1.0", "id": "e1", "source": "\0", "data": {"to": "ada"}},
    {"specversion": "1.0", "id": "e1", "source": "\0a", "data": {"to": "ada"}},
    {"specversion": "1.0", "id": "\0", "source": "s", "data": {"to": "ada"}},
    {"specversion": "1.0", "id": "e2", "source": NOISE[:512], "data": {"to": "ada"}},
    {"specversion": "1.0", "id": NOISE[:512], "source": NOISE[:512], "data": {"to": NOISE[:255]}},
    {"specversion": "1.0", "id": ASCII_NOISE[:512], "source": ASCII_NOISE[:512], "data": {"to": NOISE[:255]}},
    {"specversion": "1.0", "id": "e3", "source": "s", "type": "\0", "data": {"to": "ada"}},
    {"specversion": "1.0", "id": "e4", "source": "s", "type": ASCII_NOISE[:400], "data": {"to": "ada"}},
    {"event_id": "e5", "to": "ada", "type": ASCII_NOISE},
    {"event_id": "e6", "to": "ada", "event_type": "a\0b"},
    {"event_id": "e7", "to": NOISE[:255], "title": "\0", "text": "\0"},
    {"event_id": "e8", "to": ["ada", "a\0b", HALF, NOISE[:256], ""], "title": "t"},
    {"event_id": "e9", "to": "ada", "mail": ["a\0b@x.example", NOISE + "@x.example", HALF], "title": "\0\r\n"},
    {"event_id": "e10", "to": "ada", "mail": "a@x.example", "title": "t", "order_id": "\0"},
    {"event_id": "e11", "to": "ada", "mail": "a@x.example", "title": "t", "order_id": NOISE[:512]},
    {"event_id": "e12", "to": "ada", "mail": "İ" * 250 + "@x.example", "title": NOISE},
    {"event_id": "e13", "to": "ada", "timestamp": "0001-01-01T00:00:00+14:00"},
    {"event_id": "e14", "to": "ada", "timestamp": "0001-01-01T00:00:00Z"},
    {"event_id": "e15", "to": "ada", "timestamp": -62135596800},
    {"event_id": "e16", "to": "ada", "n": int("9" * 400)},
    b'{"event_id":"e17","to":"ada","n":1e308,"m":1e-999999,"k":-0.0}',
    b'{"event_id":"e18","to":"ada","n":1e400}',
    b'{"event_id":"e19","to":"ada","n":' + b"9" * 100_000 + b"." + b"9" * 20_000 + b"}",
    b'{"event_id":"e20","to":"ada","\\u0000":1}',
    b'{"event_id":"e21","to":"ada","a":"\\ud800"}',
    b'{"event_id":"e22","to":"ada","a":"\xed\xa0\x80"}',
    b'{"event_id":"e23","to":"ada","a":{"a":1,"a":2}}',
    {"event_id": "e24", "to": "ada", ASCII_NOISE: 1},
    {"event_id": "e25", "to": 10**400},
    "no JSON, and \0",
    b"\xff\0",
    b"",
]
SOURCES = ["bye", "note", "typed.x", "raw", "feed.x", "mail", "typed.\0", f"feed.{ASCII_NOISE}", f"typed.{NOISE}"]


@pytest.fixture(params=STORES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param]((tmp_path, lambda: request.getfixturevalue("postgres"))) as opened:
        yield opened


def hostile() -> list[Message]:
    made = [message(source, body, f"place-{n}") for source in SOURCES for n, body in enumerate(EVENTS)]
    headers = [{"ce_specversion": "1.0", "ce_source": text} for text in ("\0", NOISE[:512])]
    made += [message("typed.x", {"to": "ada"}, f"head-{n}", headers=one) for n, one in enumerate(headers)]
    made += [message("typed.x", {"to": "ada"}, id) for id in ("\0", NOISE, ASCII_NOISE)]
    return made


async def test_hostile_texts_never_fail_a_batch_on_any_store(stores: Stores) -> None:
    store_plans = StorePlans(stores.store, SystemClock(), StoragePolicy())
    events = [one for number, bad in enumerate(hostile()) for one in (bad, good(number))]
    for _ in range(2):
        for first in range(0, len(events), 100):
            plans = [plan(one, ROUTES) for one in events[first : first + 100]]
            # An exception here would make the consumer retry the same batch forever.
            async for _part in store_plans(store_plans.parts(plans)):
                pass
    unread = (await head(stores, "bob")).unread
    assert unread == len(hostile())
    await check_counters(stores, "bob")
    assert await stores.dead_letters.count(DeadLetterFilter(reason="unstorable_text")) > 20
    # Texts are validated in the domain. Only numbers out of range for jsonb are left to PostgreSQL.
    refused = await stores.dead_letters.newest(10, DeadLetterFilter(reason="refused_by_store"))
    assert {one.letter.event_id for one in refused} <= {"e17", "e19"}
    assert await stores.deliveries.count(DeliveryFilter(reference=NOISE[:512])) > 0


def good(number: int) -> Message:
    return message("note", {"to": "bob", "title": f"t{number}"}, f"good-{number}")
