"""Converts Kafka's records to the messages that ingest processes."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from aiokafka import ConsumerRecord

from domain.broker_messages import NO_HEADERS, Message

# The broker's default limit for timestamps of producers in the future (log.message.timestamp.after.max.ms).
MAX_CLOCK_SKEW: Final = timedelta(hours=1)

# Maximum number of headers that are read from a record. Decoding a record of 1 MB full of headers would block the event
# loop for 0.1 s.
MAX_HEADERS: Final = 1000


def message_of(record: ConsumerRecord, now: datetime) -> Message:
    """Converts a record that was received at `now` to a message. Never raises: bytes that are not UTF-8 in the key or
    in headers are replaced by U+FFFD. The message's time is the record's timestamp, or `now` if the timestamp is
    missing or too far in the future. If several headers have the same name, the last one is used. Headers after the
    first MAX_HEADERS are ignored."""
    headers = {
        name.lower(): (value or b"").decode(errors="replace") for name, value in islice(record.headers, MAX_HEADERS)
    }
    return Message(
        source=record.topic,
        body=record.value,
        time=_time_of(record.timestamp, now),
        fallback_id=f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}",
        headers=headers or NO_HEADERS,
        key=None if record.key is None else record.key.decode(errors="replace"),
    )


def _time_of(timestamp: int, now: datetime) -> datetime:
    """Converts a record's timestamp (milliseconds since 1970) to a datetime. Returns `now` if the timestamp is missing
    (-1) or more than MAX_CLOCK_SKEW after `now`, for example because a producer sent microseconds."""
    try:
        time = datetime.fromtimestamp(timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return time if timestamp >= 0 and time - now <= MAX_CLOCK_SKEW else now
