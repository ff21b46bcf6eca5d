"""Converts the messages that RabbitMQ delivers to the messages that ingest processes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
from aiormq.abc import DeliveredMessage
from msgspec.structs import replace

from domain.body_decoding import Undecodable, decoded
from domain.broker_messages import NO_HEADERS, Message

# How far in the future a producer's timestamp may be; beyond that, the time of receipt is used.
MAX_CLOCK_SKEW: Final = timedelta(hours=1)

# Prefixes of attributes in CloudEvents' AMQP binding (1.0.2, section 3.1.3.1) and elsewhere, in lower case.
ATTRIBUTES: Final = ("cloudevents:", "cloudevents_", "ce-", "ce_")

_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]+)", re.IGNORECASE)

# Headers that a quorum queue adds to redelivered messages. Ignored, so that a redelivery equals the first delivery.
COUNT_HEADERS: Final = frozenset({"x-delivery-count", "x-acquired-count"})


def message_of(delivered: DeliveredMessage, now: datetime) -> Message:
    """Converts a message delivered at `now`; never raises. The message's time is its timestamp, or `now` if the
    timestamp is missing or more than MAX_CLOCK_SKEW after `now`. Header values are converted to text, and header names
    to lower case. CloudEvents attributes get the names that they have on Kafka: `cloudEvents:type` becomes `ce_type`.
    """
    source = delivered.routing_key or ""
    properties = delivered.header.properties
    body = delivered.body
    return Message(
        source=source,
        body=body,
        time=_time_of(properties.timestamp, now),
        fallback_id=_id_of(source, properties.message_id, properties.timestamp, body),
        headers=_headers_of(properties.headers) if properties.headers else NO_HEADERS,
        encoding=_encoding_of(properties.content_encoding, properties.content_type),
    )


def _id_of(source: str, message_id: str | None, timestamp: datetime | None, body: bytes) -> str:
    """Returns the id by which a redelivered message is recognised if its event has no id: the `message_id` set by the
    producer or, without one, a hash of routing key, timestamp (in seconds) and body. Two messages without `message_id`
    that are equal in all three have the same id."""
    if message_id:
        return f"message-id/{message_id}"
    # The length prefix makes the concatenation unambiguous.
    before = f"{len(source)}:{source}{timestamp.timestamp() if timestamp else ''}:"
    return f"sha256/{sha256(before.encode() + body).hexdigest()}"


def _time_of(timestamp: datetime | None, now: datetime) -> datetime:
    return timestamp if timestamp and timestamp - now <= MAX_CLOCK_SKEW else now


def _encoding_of(content_encoding: str | None, content_type: str | None) -> str:
    """Returns the compression and the charset that a message's properties declare for its body, in the format of
    domain.body_decoding. Example: content encoding `gzip` and content type `text/plain; charset=latin1` give `gzip,
    latin1`. Returns an empty text if nothing is declared."""
    charset = _CHARSET.search(content_type) if content_type else None
    return ", ".join(name for name in (content_encoding, charset and charset[1]) if name)


def unpacked(message: Message, max_bytes: int) -> Message | None:
    """Returns the message with its body decompressed and converted to UTF-8, as `message.encoding` declares; returns it
    unchanged if nothing is declared. Returns None if the body does not match the declaration, or has more than
    `max_bytes` bytes after decoding (0 means no limit)."""
    if not message.encoding or message.body is None:
        return message
    try:
        body = decoded(message.body, message.encoding, max_bytes)
        body.decode()
    except (Undecodable, UnicodeDecodeError):
        return None
    return replace(message, body=body, encoding="")


def _headers_of(table: Mapping[str, Any]) -> Mapping[str, str]:
    return {_name_of(name): _text_of(value) for name, value in table.items() if name not in COUNT_HEADERS} or NO_HEADERS


def _name_of(name: str) -> str:
    name = name.lower()
    for prefix in ATTRIBUTES:
        if name.startswith(prefix):
            return f"ce_{name.removeprefix(prefix)}"
    return name


def _text_of(value: Any) -> str:
    """Converts the value of a header to text: a timestamp to ISO 8601, as in CloudEvents; a table, a list or a boolean
    to JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        try:
            return msgspec.json.encode(value).decode()
        except RecursionError:
            return ""
    return str(value)
