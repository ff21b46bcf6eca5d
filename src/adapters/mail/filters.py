"""Filters of mail templates. They accept any value that a producer may have sent.

A field that the event does not have raises UndefinedError, as it does without a filter.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Undefined

from domain.deliveries import subject_line

# Longer links are rejected. RFC 9110, section 4.1, recommends support for at least 8,000 octets, but mail clients cut
# much shorter lines.
MAX_LINK_LENGTH: Final = 2_000

# Maximum length of an amount with its currency: it has to fit on one line beside a name, on the screen of a phone.
MAX_AMOUNT_LENGTH: Final = 30


def line(value: Any) -> str:
    """Text or a number as one line of at most 255 characters; empty for anything else."""
    _there(value)
    return subject_line(str(value)) if _is_number(value) or isinstance(value, str) else ""


def money(value: Any, currency: str = "") -> str:
    """An amount with two decimals, followed by its currency. Text stays as its producer wrote it. Empty for anything
    else, and for results of more than MAX_AMOUNT_LENGTH characters.
    """
    try:
        amount = line(f"{value:,.2f}" if _is_number(value) else value)
    except OverflowError:
        return ""
    text = f"{amount} {currency}" if amount and currency else amount
    return text if len(text) <= MAX_AMOUNT_LENGTH else ""


def day(value: datetime) -> str:
    """A date in the form `7 March 2026`."""
    return f"{value.day} {value:%B %Y}"


def link(value: Any) -> str:
    """An http or https URL; empty for anything else, because `javascript:` and similar URLs must not become links."""
    _there(value)
    if not isinstance(value, str) or len(value) > MAX_LINK_LENGTH or not value.isprintable() or " " in value:
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return value if parts.scheme in ("http", "https") and parts.hostname else ""


def entries(value: Any) -> list[Any]:
    """A list; empty for anything else."""
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
