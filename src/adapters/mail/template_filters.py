"""The filters that mail templates can use, as in `{{ price | money("EUR") }}`.

All except `day` accept any JSON value, because a publisher may put any value into any field. A filter raises
UndefinedError for a field that the event does not have, as Jinja does without a filter.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Undefined

from domain.deliveries import subject_line

# Maximum length of a link; longer ones are omitted. RFC 9110, section 4.1, recommends support for at least 8,000
# octets, but mail clients cut much shorter lines.
MAX_LINK_LENGTH: Final = 2_000

# Maximum length of an amount with its currency: it has to fit on one line with a name on the screen of a phone.
MAX_AMOUNT_LENGTH: Final = 30


def line(value: Any) -> str:
    """Returns a text or a number as one line of at most 255 characters. Returns an empty text for any other value."""
    _there(value)
    return subject_line(str(value)) if _is_number(value) or isinstance(value, str) else ""


def money(value: Any, currency: str = "") -> str:
    """Returns an amount of money, followed by its currency. A number gets two decimals: `1234.5` -> `1,234.50`. A
    text is displayed as it is, on one line. Returns an empty text for any other value, and if the result has more
    than MAX_AMOUNT_LENGTH characters."""
    try:
        amount = line(f"{value:,.2f}" if _is_number(value) else value)
    except OverflowError:
        return ""
    text = f"{amount} {currency}" if amount and currency else amount
    return text if len(text) <= MAX_AMOUNT_LENGTH else ""


def day(value: datetime) -> str:
    """Returns the date of a time, such as `event.time`, in the form `7 March 2026`."""
    return f"{value.day} {value:%B %Y}"


def link(value: Any) -> str:
    """Returns an http or https URL of at most MAX_LINK_LENGTH characters unchanged. Returns an empty text for any
    other value, so that URLs such as `javascript:…` never become links in a mail."""
    _there(value)
    if not isinstance(value, str) or len(value) > MAX_LINK_LENGTH or not value.isprintable() or " " in value:
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return value if parts.scheme in ("http", "https") and parts.hostname else ""


def entries(value: Any) -> list[Any]:
    """Returns a list unchanged, and an empty list for any other value, so that a template can loop over any field."""
    _there(value)
    return value if isinstance(value, list) else []


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "line": line,
    "money": money,
    "day": day,
    "link": link,
    "entries": entries,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _there(value: Any) -> None:
    if isinstance(value, Undefined):
        str(value)  # raises UndefinedError, with its message
