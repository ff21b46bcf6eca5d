"""Messages as brokers deliver them, with bodies that are not decoded yet."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Message(msgspec.Struct, frozen=True):
    """One message of a broker, such as a Kafka record, with a body that is not decoded yet. Adapters of brokers create
    messages; `domain.planning` plans them.

    `source` is the topic or routing key. `body` is None for a Kafka tombstone (a record without a value). `time` is the
    broker's time stamp, or the time of receipt if there is no valid one; it has a time zone. `fallback_id` becomes the
    id of the event if the event has no id of its own. It is the same each time the broker delivers this message. Other
    messages should have other ones: for Kafka it consists of topic, partition, offset and time stamp; RabbitMQ messages
    of equal routing key, time stamp and body share one, unless their producer sets a `message_id`. `headers` have names
    in lower case and values decoded as UTF-8. `key` is the key of a Kafka record; None if it has none. `encoding` names
    the compression and charset of the body, as the producer declares them (see domain.body_decoding); it is empty for
    uncompressed UTF-8. No text in a message contains an unpaired surrogate: adapters replace bytes that they can't
    decode.
    """

    source: str
    body: bytes | None
    time: datetime
    fallback_id: str
    headers: Mapping[str, str] = NO_HEADERS
    key: str | None = None
    encoding: str = ""
