"""From Kafka's records to messages."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from aiokafka import ConsumerRecord

from domain.messages import NO_HEADERS, Message

# How far ahead of its own clock a broker lets a producer's time stamp be (log.message.timestamp.after.max.ms).
AHEAD: Final = timedelta(hours=1)

# More are no one's attributes, and reading a record of 1 MB full of them would take the event loop for 0.1 s.
MAX_HEADERS: Final = 1000


def message_of(record: ConsumerRecord, now: datetime) -> Message:
    """Never fails: bytes that are not UTF-8 in key or headers are replaced. Of headers of one name the last counts;
    headers behind the first MAX_HEADERS are ignored."""
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
    """The record's time stamp, in milliseconds; the present where it is none, or cannot be one (-1, microseconds)."""
    try:
        time = datetime.fromtimestamp(timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return time if timestamp >= 0 and time - now <= AHEAD else now
