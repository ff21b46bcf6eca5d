"""Envelopes: the forms in which plain clients receive an event. The route of the event selects one:

    raw      the text of the payload, unchanged
    typed    {"type": …, "data": …}
    event    {"event_type": …, "data": …}
    flat     the fields of the payload, and `broadcastTimestamp`, the time of storing

`data` is the payload's object `data` if there is one, otherwise the payload without `event_type`, `type` and
`eventType`. What the route's `omit` names is left out of `data`, and of `flat`. All values are copied from the text of
the payload, not encoded again: numbers keep every digit, and fields keep their order.
"""

from datetime import datetime
from typing import Final

import msgspec

from domain.events import Event, Undecoded, Unreadable
from domain.nesting_limit import too_deep
from domain.omissions import NOTHING, Omission
from domain.streams import Content, Entry, Envelope

TYPE_FIELDS: Final = ("event_type", "type", "eventType")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def make_body(event: Event, envelope: Envelope, omission: Omission) -> str:
    """Returns the part of the envelope that is stored as `Content.body`: for `typed` and `event` the JSON text of
    `data`, for `flat` all fields except `broadcastTimestamp`, for `raw` the payload's text. The omission is applied,
    except for `raw`. Raises Unreadable if the payload is not a JSON object and the envelope is not `raw`.
    """
    if envelope == "raw":
        return event.text
    require_object(event)
    if envelope == "flat":
        fields = _fields(event.text)
        omission.apply_to_payload(fields)
        fields.pop("broadcastTimestamp", None)
        return _compact(_encode(fields))
    return _data(event.text, omission)


def require_object(event: Event) -> None:
    """Raises Unreadable if the payload of the event is not a JSON object."""
    if isinstance(event.payload, Undecoded):
        raise Unreadable("not_json", f"The event is not JSON: {event.payload.why}.")
    if type(event.payload) is not dict:
        raise Unreadable("not_an_object", "The event is JSON, but not an object.")


def plain_text(entry: Entry) -> str:
    """Returns what a plain client receives when a notification or broadcast arrives: the event in the envelope of its
    route.
    """
    content = entry.content
    match content.envelope:
        case "raw":
            return content.body
        case "typed":
            return f'{{"type":{quoted(content.type)},"data":{content.body}}}'
        case "event":
            return f'{{"event_type":{quoted(content.type)},"data":{content.body}}}'
        case "flat":
            comma = "" if content.body == "{}" else ","
            return f'{content.body[:-1]}{comma}"broadcastTimestamp":"{to_rfc3339(entry.stored_at)}"}}'


def data_text(content: Content) -> str:
    """Returns the payload as the field `data` of `herald.v1` objects: compact JSON, or a JSON string if the payload is
    not JSON.
    """
    match content.envelope:
        case "raw":
            try:
                return quoted(content.body) if too_deep(content.body) else _compact(content.body)
            except msgspec.DecodeError:
                return quoted(content.body)
        case "flat":
            return _data(content.body, NOTHING)
        case _:
            return content.body


def quoted(text: str) -> str:
    """Returns the text as a JSON string, in quotes."""
    return _encode(text).decode()


def to_rfc3339(time: datetime) -> str:
    """Returns a time, which must be in UTC, as text with milliseconds: `2026-01-31T08:05:00.000Z` (RFC 3339)."""
    # `_encode` takes a third of the time of `isoformat`, and this runs for every notification that is sent.
    text = _encode(time)
    return text[1:24].decode() + "Z" if len(text) == 29 else text[1:20].decode() + ".000Z"


def _data(text: str, omission: Omission) -> str:
    fields = _fields(text)
    data = bytes(fields.get("data", b""))
    if data.startswith(b"{"):
        if not omission:
            return _compact(data)
        fields = _fields(data)
        omission.apply_to_data(fields)
        return _compact(_encode(fields))
    omission.apply_to_payload(fields)
    for name in TYPE_FIELDS:
        fields.pop(name, None)
    return _compact(_encode(fields))


def _compact(text: str | bytes) -> str:
    formatted = msgspec.json.format(text, indent=-1)
    return formatted if isinstance(formatted, str) else formatted.decode()
