"""Events: what a message says once it has been read.

Identity is (origin, id); see `event_identity`. The id is, in this order: a CloudEvents id, the payload's `event_id` or
`eventId`, the field that the route names, and where none of these is there, the message's own place at its broker. `id`
is looked at only where a route names it: in most payloads it is the id of the thing the event is about, which many
events share.
"""

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from domain.encodings import Undecodable, decoded
from domain.event_identity import origin_of
from domain.messages import Message
from domain.nesting import DEEPEST, too_deep
from domain.times import is_number, since_1970

# A producer whose clock is this far ahead is taken at its word; beyond it the broker's time is the truer one. A
# sign-out in the far future would otherwise lock its user out until then.
CLOCK_SKEW: Final = timedelta(minutes=5)

# Longer ids are not ids. The bound keeps indexes over them small.
LONGEST_ID: Final = 512


class Undecoded(msgspec.Struct, frozen=True):
    """Stands for a payload that is no JSON. `why` says what is wrong with it."""

    why: str


class Unreadable(Exception):
    """A message that cannot become an event. `reason` is a stable code, the text says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Event(msgspec.Struct, frozen=True):
    """A fact that another service published.

    `source` is where it was published, `origin` the namespace of its id (the source, or what CloudEvents calls
    source). `type` is None where nothing in the message says. `payload` is the decoded JSON, or Undecoded; `text` is
    the same as it was sent.
    """

    source: str
    origin: str
    id: str
    type: str | None
    time: datetime
    text: str
    payload: Any


def _float(text: str) -> float:
    """A JSON number with a fraction or an exponent. Raises ValueError for one that no float can hold."""
    if math.isinf(number := float(text)):
        raise ValueError("Number out of range")
    return number


# The decoder's own reading of numbers near the limits of floats, such as 1e308, takes 12 us each, this 1 us.
_decode = msgspec.json.Decoder(float_hook=_float).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_event(message: Message, id_field: str | None = None, max_bytes: int = 0) -> Event:
    """Reads a message; raises Unreadable.

    `id_field` is the dotted path of the event id where the route names one. More than `max_bytes` of body are refused
    unread, or decoded no further; 0 is no limit.
    """
    body = message.body
    if body is None:
        raise Unreadable("tombstone", "The record has no value: it deletes a key and says nothing to anyone.")
    if max_bytes and len(body) > max_bytes:
        raise Unreadable("too_large", f"The event has {len(body)} bytes; at most {max_bytes} are taken.")
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
        said = f"; its producer names the encoding {encoding!r}" if encoding else ""
        raise Unreadable("not_utf8", f"The event is not UTF-8 from byte {error.start} on{said}.") from None


def decode_json(text: str, decode: Callable[[str], Any] = _decode) -> Any:
    """The decoded JSON, or Undecoded; never raises, however deep or broken the text is. `decode` is a decoder of
    msgspec's."""
    if too_deep(text):
        return Undecoded(f"JSON is nested more than {DEEPEST} deep")
    try:
        return decode(text)
    except msgspec.DecodeError as error:
        return Undecoded(str(error))


def at_path(payload: Any, path: str) -> Any:
    """What a dotted path leads to, or None. In a wrapped payload (`{"event_type", "data": {…}}`) a path leads into
    `data` too, so that one route serves producers of either shape; what stands outside comes first."""
    found = _walk(payload, path)
    if found is None and type(payload) is dict and type(inner := payload.get("data")) is dict:
        return _walk(inner, path)
    return found


def names_to(payload: Any, path: str) -> tuple[str, ...]:
    """The names of the fields, from the outermost on, that lead to what `at_path` finds."""
    if _walk(payload, path) is None and type(payload) is dict and type(inner := payload.get("data")) is dict:
        return ("data", *_names(inner, path))
    return _names(payload, path)


def values_at(payload: Any, path: str) -> list[Any]:
    """The same as a list: what is in one, one value by itself, nothing for None."""
    value = at_path(payload, path)
    return value if type(value) is list else [] if value is None else [value]


def as_id(value: Any) -> str | None:
    """An id as text: a non-empty string, or a whole number made one. Anything else is none."""
    text = value if type(value) is str else str(value) if type(value) is int else ""
    return text if 0 < len(text) <= LONGEST_ID else None


def own_id(payload: Mapping[str, Any]) -> str | None:
    """The event id that a payload gives itself."""
    return as_id(payload.get("event_id")) or as_id(payload.get("eventId"))


def own_type(payload: Mapping[str, Any]) -> str | None:
    """The event type that a payload gives itself."""
    for name in ("event_type", "type", "eventType"):
        value = payload.get(name)
        if type(value) is str and value:
            return value
    return None


def own_time(payload: Mapping[str, Any], received: datetime) -> datetime:
    """The payload's own time where it has a believable one, else `received`."""
    value = payload.get("timestamp") or payload.get("time")
    if value is None and type(inner := payload.get("data")) is dict:
        value = inner.get("timestamp")
    return (as_time(value, received) if value else None) or received


def as_time(value: Any, received: datetime) -> datetime | None:
    """ISO 8601 text, or seconds or milliseconds since 1970, as a number or as digits; a time without a zone is UTC.
    None for anything else, and for what lies in the future of `received` by more than clocks differ."""
    time = None
    try:
        if type(value) in (int, float) or (type(value) is str and is_number(value)):
            time = since_1970(value)
        # No date of ISO 8601 begins with 9 digits: `fromisoformat` would take 1796010100000Z for the year 1796.
        elif type(value) is str and not value[:9].isdigit():
            time = datetime.fromisoformat(value)
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time is not None and time <= received + CLOCK_SKEW else None


def _walk(value: Any, path: str) -> Any:
    for name in _names(value, path):
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def _names(value: Any, path: str) -> tuple[str, ...]:
    """A field whose name is the whole path comes before the one that the path leads to by its dots."""
    return (path,) if type(value) is dict and path in value else tuple(path.split("."))


def _binary_attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a CloudEvent in binary mode (Kafka protocol binding 1.0.2, section 3.2)."""
    return {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}


def _structured_data(envelope: dict[str, Any], text: str) -> tuple[Any, str]:
    """The data of a CloudEvent in structured mode (JSON format 1.0.2, section 3.1), decoded and as it was sent."""
    data = envelope.get("data")
    if type(data) is str:
        return decode_json(data), data
    if type(encoded := envelope.get("data_base64")) is str:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            raise Unreadable("not_utf8", "The event's data_base64 holds no UTF-8 text.") from None
        return decode_json(decoded), decoded
    return data, bytes(_fields(text).get("data", b"null")).decode()
