"""Events: the messages of brokers after decoding.

An event is identified by its origin and its id (see `event_identity`). The id is the first of these that exists: the
CloudEvents id; the payload's `event_id` or `eventId`; the payload field that the `id` of a route names; the message's
`fallback_id`. The payload's `id` is not used unless a route names it: in most payloads it is the id of an object, such
as an order, and many events are about the same object.
"""

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from domain.body_decoding import Undecodable, decoded
from domain.broker_messages import Message
from domain.dead_letter_reasons import DeadLetterReason
from domain.event_identity import origin_of
from domain.nesting_limit import MAX_DEPTH, too_deep
from domain.payload_paths import at_path
from domain.unix_times import is_number, since_1970

# Event times are accepted up to this far ahead of the broker's time; beyond it the broker's time is used instead. A
# sign-out with a time in the far future would otherwise lock its user out until then.
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)

# Longer values are not accepted as ids, to keep indexes over ids small.
MAX_ID_LENGTH: Final = 512


class Undecoded(msgspec.Struct, frozen=True):
    """The payload of an event whose text is not JSON, or is nested too deeply. `why` is the reason, as text."""

    why: str


class Unreadable(Exception):
    """Raised if a message can't be decoded into an event, or a route can't be applied to the event. The event becomes a
    dead letter with the `reason`, a code for programs, and the `detail`, an explanation for people.
    """

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Event(msgspec.Struct, frozen=True):
    """An event that another service published, decoded from the message of a broker.

    `source` is the topic or routing key. `origin` and `id` identify the event (see `event_identity`). `type` is None if
    the message names no type. `payload` is the decoded JSON, or Undecoded; `text` is the same payload as it was sent.
    """

    source: str
    origin: str
    id: str
    type: str | None
    time: datetime
    text: str
    payload: Any


def _float(text: str) -> float:
    """Converts a JSON number with a fraction or an exponent. Raises ValueError if it is too large for a float."""
    if math.isinf(number := float(text)):
        raise ValueError("Number out of range")
    return number


# Faster than the decoder's own conversion of numbers near the limits of floats, such as 1e308: 1 µs instead of 12 µs
# each.
_decode = msgspec.json.Decoder(float_hook=_float).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_event(message: Message, id_field: str | None = None, max_bytes: int = 0) -> Event:
    """Decodes a message into an event. Raises Unreadable if that is impossible, or if the body has more than
    `max_bytes` bytes as sent or after decompression (0 means no limit). `id_field` is the dotted path of the payload
    field that a route names as the event's id; None if no route names one.
    """
    body = message.body
    if body is None:
        raise Unreadable("tombstone", "The record has no value (a tombstone): it deletes a key, and is not an event.")
    if max_bytes and len(body) > max_bytes:
        raise Unreadable(
            "too_large", f"The event has {len(body)} bytes; at most {max_bytes} are accepted (HERALD_MAX_EVENT_BYTES)."
        )
    text = _text_of(body, message.encoding, max_bytes)
    payload = decode_json(text)

    attributes: Mapping[str, Any] = {}
    if message.headers and "ce_specversion" in message.headers:
        attributes = _binary_attributes(message.headers)
    elif type(payload) is dict and "specversion" in payload and "id" in payload and "source" in payload:
        attributes = payload
        payload, text = _structured_data(payload, text)
    fields = payload if type(payload) is dict else {}
    time = attributes.get("time")
    return Event(
        source=message.source,
        origin=origin_of(as_id(attributes.get("source")), message.source),
        id=as_id(attributes.get("id"))
        or own_id(fields)
        or (as_id(at_path(fields, id_field)) if id_field else None)
        or message.fallback_id,
        type=as_id(attributes.get("type")) or own_type(fields),
        time=(as_time(time, message.time) if time else None) or own_time(fields, message.time),
        text=text,
        payload=payload,
    )


def _text_of(body: bytes, encoding: str, max_bytes: int) -> str:
    try:
        body = decoded(body, encoding, max_bytes) if encoding else body
        # RFC 8259, section 8.1: a byte order mark may be ignored.
        return body.decode("utf-8-sig")
    except Undecodable as fault:
        raise Unreadable(fault.reason, str(fault)) from None
    except UnicodeDecodeError as error:
        said = f"; its producer declares the encoding {encoding!r}" if encoding else ""
        raise Unreadable("not_utf8", f"The event is not UTF-8 from byte {error.start} on{said}.") from None


def decode_json(text: str, decode: Callable[[str], Any] = _decode) -> Any:
    """Decodes JSON text. If the text is not JSON, or is nested too deeply, returns Undecoded instead of raising an
    exception. `decode` is the `decode` method of a msgspec decoder.
    """
    if too_deep(text):
        return Undecoded(f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        return decode(text)
    except msgspec.DecodeError as error:
        return Undecoded(str(error))


def as_id(value: Any) -> str | None:
    """Returns a value of a payload as an id: a string or a whole number, of 1 to MAX_ID_LENGTH characters. Returns None
    for any other value.
    """
    text = value if type(value) is str else str(value) if type(value) is int else ""
    return text if 0 < len(text) <= MAX_ID_LENGTH else None


def own_id(payload: Mapping[str, Any]) -> str | None:
    """Returns the event id in the payload's `event_id`, otherwise that in `eventId`; None if neither has a valid id."""
    return as_id(payload.get("event_id")) or as_id(payload.get("eventId"))


def own_type(payload: Mapping[str, Any]) -> str | None:
    """Returns the event type in a payload: the first non-empty string among `event_type`, `type` and `eventType`; None
    if there is none.
    """
    for name in ("event_type", "type", "eventType"):
        value = payload.get(name)
        if type(value) is str and value:
            return value
    return None


def own_time(payload: Mapping[str, Any], received: datetime) -> datetime:
    """Returns the time in the payload's `timestamp`, otherwise that in `time`, otherwise that in `data.timestamp`. If
    there is none of these fields, or the value is not a valid time (see `as_time`), returns `received`, the broker's
    time.
    """
    value = payload.get("timestamp") or payload.get("time")
    if value is None and type(inner := payload.get("data")) is dict:
        value = inner.get("timestamp")
    return (as_time(value, received) if value else None) or received


def as_time(value: Any, received: datetime) -> datetime | None:
    """Converts a value of a payload to a time: ISO 8601 text (UTC if it has no time zone), or seconds or milliseconds
    since 1970, as a number or as text. Returns None for any other value, and for a time that is more than
    MAX_CLOCK_SKEW later than `received`, the broker's time.
    """
    time = None
    try:
        if type(value) in (int, float) or (type(value) is str and is_number(value)):
            time = since_1970(value)
        # No ISO 8601 date begins with 9 digits: `fromisoformat` would read 1796010100000Z as the year 1796.
        elif type(value) is str and not value[:9].isdigit():
            time = datetime.fromisoformat(value)
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time is not None and time <= received + MAX_CLOCK_SKEW else None


def _binary_attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """Returns the attributes of a CloudEvent in binary mode: the headers `ce_…` without their prefix (Kafka protocol
    binding 1.0.2, section 3.2).
    """
    return {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}


def _structured_data(envelope: dict[str, Any], text: str) -> tuple[Any, str]:
    """Returns the payload of a CloudEvent in structured mode (JSON format 1.0.2, section 3.1): the field `data` or
    `data_base64` of the envelope, decoded, and as text. `text` is the JSON text of the envelope.
    """
    data = envelope.get("data")
    if type(data) is str:
        return decode_json(data), data
    if type(encoded := envelope.get("data_base64")) is str:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            raise Unreadable("not_utf8", "The event's data_base64 is not UTF-8 text in Base64.") from None
        return decode_json(decoded), decoded
    return data, bytes(_fields(text).get("data", b"null")).decode()
