"""Checks whether events can be stored. The databases store neither the character U+0000 nor an unpaired surrogate, and
limit the length of values that are in an index.

The functions `validate_…` return the reason why something can't be stored, as text; None if it can.
"""

import json
from collections.abc import Iterable
from typing import Final

from domain.caller_errors import InvalidInput
from domain.deliveries import Item
from domain.event_identity import LONGEST_QUALIFIED_BYTES
from domain.preferences import MAX_TYPE_LENGTH
from domain.streams import Content

# U+0000 as JSON escapes it. PostgreSQL's jsonb rejects it (PostgreSQL manual, section 8.14).
_ESCAPED_NUL: Final = "\\u0000"

# An event's origin and id are part of one index row together with a user id of up to 1,020 bytes. PostgreSQL rejects
# index rows of more than 2,704 bytes (BTMaxItemSize), its own overhead included. A qualified origin may replace the
# origin.
LONGEST_IDENTITY_BYTES: Final = 1_600
LONGEST_ID_BYTES: Final = LONGEST_IDENTITY_BYTES - LONGEST_QUALIFIED_BYTES


def require_storable(text: str, field: str) -> str:
    """Returns the text if the databases can store it and search for it. Otherwise raises InvalidInput for this `field`
    of a request.
    """
    if fault := _unstorable_in(text):
        raise InvalidInput(f"The text contains {fault}, which can't be stored or searched for.", field)
    return text


def validate_identity(origin: str, event_id: str) -> str | None:
    """Returns the reason why an event with this origin and id can't be stored, such as an id that is too long for an
    index; None if it can.
    """
    fault = _fault_in({"origin": origin, "id": event_id})
    if fault is not None:
        return fault
    size = len(event_id.encode())
    if size > LONGEST_ID_BYTES:
        return f"The id has {size} bytes; at most {LONGEST_ID_BYTES} can be stored"
    size += len(origin.encode())
    if size > LONGEST_IDENTITY_BYTES:
        return f"The origin and the id have {size} bytes together; at most {LONGEST_IDENTITY_BYTES} can be stored"
    return None


def validate_content(content: Content) -> str | None:
    """Returns the reason why a notification or broadcast with this content can't be stored; None if it can. The rules
    for a broadcast (without a title) are less strict: its type may have any length, and its body may contain an escaped
    U+0000 because it is stored only as text.
    """
    is_notification = content.title is not None
    fault = validate_identity(content.origin, content.event_id) or _fault_in(
        {
            "source": content.source,
            "type": content.type,
            "event type": content.event_type,
            "title": content.title,
            "message": content.message,
            "url": content.url,
            "payload": content.body,
        }
    )
    if fault is None and is_notification:
        longest = max(len(content.type), len(content.event_type or ""))
        if longest > MAX_TYPE_LENGTH:
            return f"The type has {longest} characters; at most {MAX_TYPE_LENGTH} can be stored"
        if _has_escaped_nul(content.body):
            return "The payload contains U+0000, which can't be stored"
    return fault


def validate_item(item: Item, destinations: Iterable[str]) -> str | None:
    """Returns the reason why deliveries of this item to these destinations can't be stored; None if they can. The
    payload and the options are stored only as text, so they may contain an escaped U+0000.
    """
    return validate_identity(item.origin, item.event_id) or _fault_in(
        {
            "source": item.source,
            "type": item.type,
            "payload": item.payload,
            "reference": item.reference,
            "options": json.dumps(item.options, ensure_ascii=False) if item.options else None,
            "destination": " ".join(destinations),
        }
    )


def _fault_in(texts: dict[str, str | None]) -> str | None:
    for name, text in texts.items():
        if text is not None and (fault := _unstorable_in(text)):
            return f"The {name} contains {fault}, which can't be stored"
    return None


def _unstorable_in(text: str) -> str | None:
    if "\0" in text:
        return "U+0000"
    # An encoder is the only fast way to check every character.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "an unpaired surrogate"
    return None


def _has_escaped_nul(json: str) -> bool:
    # A backslash that is itself escaped does not begin an escape. Pairs of backslashes are removed from the left, in
    # one pass.
    return _ESCAPED_NUL in json and _ESCAPED_NUL in json.replace("\\\\", "")
