"""From RabbitMQ's deliveries to messages."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
from aiormq.abc import DeliveredMessage
from msgspec.structs import replace

from domain.encodings import Undecodable, decoded
from domain.messages import NO_HEADERS, Message

# How far ahead a producer's clock may be; beyond it the time of receipt is the truer one.
AHEAD: Final = timedelta(hours=1)

# How CloudEvents' AMQP binding (1.0.2, section 3.1.3.1) and others prefix attributes, in lower case.
ATTRIBUTES: Final = ("cloudevents:", "cloudevents_", "ce-", "ce_")

_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]+)", re.IGNORECASE)

# What a quorum queue writes into a message that it hands over again: the same message would not be the same.
COUNTS: Final = frozenset({"x-delivery-count", "x-acquired-count"})


def message_of(delivered: DeliveredMessage, now: datetime) -> Message:
    """Never fails. Headers become text; CloudEvents attributes are named as on Kafka."""
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
    """RabbitMQ counts nothing that would name a message. What its producer did not name is known by what it says: two
    that say the same, of the same second, are one."""
    if message_id:
        return f"message-id/{message_id}"
    # With the length in front, nothing can move from one part to the next.
    before = f"{len(source)}:{source}{timestamp.timestamp() if timestamp else ''}:"
    return f"sha256/{sha256(before.encode() + body).hexdigest()}"


def _time_of(timestamp: datetime | None, now: datetime) -> datetime:
    return timestamp if timestamp and timestamp - now <= AHEAD else now


def _encoding_of(content_encoding: str | None, content_type: str | None) -> str:
    """What domain.encodings reads. A charset of the content type counts where the encoding names none."""
    charset = _CHARSET.search(content_type) if content_type else None
    return ", ".join(name for name in (content_encoding, charset and charset[1]) if name)


def unpacked(message: Message, max_bytes: int) -> Message | None:
    """The message with a body in UTF-8; None where it has none, or one of more than `max_bytes`."""
    if not message.encoding or message.body is None:
        return message
    try:
        body = decoded(message.body, message.encoding, max_bytes)
        body.decode()
    except (Undecodable, UnicodeDecodeError):
        return None
    return replace(message, body=body, encoding="")


def _headers_of(table: Mapping[str, Any]) -> Mapping[str, str]:
    return {_name_of(name): _text_of(value) for name, value in table.items() if name not in COUNTS} or NO_HEADERS


def _name_of(name: str) -> str:
    name = name.lower()
    for prefix in ATTRIBUTES:
        if name.startswith(prefix):
            return f"ce_{name.removeprefix(prefix)}"
    return name


def _text_of(value: Any) -> str:
    """A time as CloudEvents writes it, tables and lists as JSON."""
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
