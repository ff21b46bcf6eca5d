"""Messages as brokers deliver them, not decoded yet."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Message(msgspec.Struct, frozen=True):
    """One record of a broker.

    `source` is the topic or routing key. `body` is None for a Kafka tombstone. `time` is the broker's own time stamp,
    with a time zone. `fallback_id` identifies the event if it has no id of its own. It must be the same each time the
    broker delivers the same record, and differ between any two records of the source (on Kafka it is made of topic,
    partition, offset and record time stamp). `headers` are decoded as UTF-8, with names in lower case; `key` is the
    record's key. `encoding` is the producer's declaration of the body's compression and charset (domain.body_decoding);
    empty for UTF-8. No text in a message contains an unpaired surrogate: sources replace bytes that they can't decode.
    """

    source: str
    body: bytes | None
    time: datetime
    fallback_id: str
    headers: Mapping[str, str] = NO_HEADERS
    key: str | None = None
    encoding: str = ""
