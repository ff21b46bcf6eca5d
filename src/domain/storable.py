"""What text can be kept: databases hold neither U+0000 nor half a surrogate pair."""

import re
from typing import Final

from domain.deliveries import Mail
from domain.errors import InvalidInput
from domain.streams import Content

# U+0000 as JSON writes it: PostgreSQL's jsonb refuses it (its manual, section 8.14). Behind an odd number of
# backslashes it is no escape.
_ESCAPED_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def storable(text: str, field: str) -> str:
    """The text, if it can be kept and so asked for. Raises InvalidInput, which names the field."""
    if "\0" in text:
        raise InvalidInput("U+0000 can't be stored, nor asked for.", field)
    return text


def fault_in_text(content: Content) -> str | None:
    """What keeps a content from being stored, in words; None if nothing does. The body of a broadcast is kept as
    text, where an escape is no harm."""
    fault = _fault_in(
        {
            "id": content.event_id,
            "source": content.source,
            "type": content.type,
            "title": content.title,
            "message": content.message,
            "payload": content.body,
        }
    )
    if fault is None and content.title is not None and "\\u0000" in content.body and _ESCAPED_NUL.search(content.body):
        return "The payload holds U+0000, which can't be stored"
    return fault


def fault_in_mail(mail: Mail) -> str | None:
    """The same for a mail. Its payload is kept as text."""
    return _fault_in(
        {
            "id": mail.event_id,
            "source": mail.source,
            "type": mail.type,
            "payload": mail.payload,
            "order's id": mail.order_id,
        }
    )


def _fault_in(texts: dict[str, str | None]) -> str | None:
    for name, text in texts.items():
        if text is None:
            continue
        if "\0" in text:
            return f"The {name} holds U+0000, which can't be stored"
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            return f"The {name} holds half a surrogate pair, which can't be stored"
    return None
