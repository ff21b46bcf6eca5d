"""What templates can do with the fields of an event: filters that take whatever a producer may have put there.

A field that the event does not have raises UndefinedError, as it does without a filter.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Undefined

from domain.deliveries import subject_line

# Longer ones are no link that anybody sends; RFC 9110, section 4.1 asks for 8,000 octets at least, mail clients cut
# lines of far less.
LONGEST_LINK: Final = 2_000

# Of an amount with its currency: it stands in one line beside a name, on the screen of a phone.
LONGEST_AMOUNT: Final = 30


def line(value: Any) -> str:
    """Text or a number in one line of at most 255 characters; nothing for what is neither."""
    _there(value)
    return subject_line(str(value)) if _is_number(value) or isinstance(value, str) else ""


def money(value: Any, currency: str = "") -> str:
    """An amount with two decimals and its currency behind it. Text stays as its producer wrote it; nothing for what is
    no amount, or a very long one."""
    try:
        amount = line(f"{value:,.2f}" if _is_number(value) else value)
    except OverflowError:
        return ""
    text = f"{amount} {currency}" if amount and currency else amount
    return text if len(text) <= LONGEST_AMOUNT else ""


def day(value: datetime) -> str:
    """A date as `7 March 2026`."""
    return f"{value.day} {value:%B %Y}"


def link(value: Any) -> str:
    """A web address, or nothing for anything else: `javascript:` and its like must not become a link."""
    _there(value)
    if not isinstance(value, str) or len(value) > LONGEST_LINK or not value.isprintable() or " " in value:
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return value if parts.scheme in ("http", "https") and parts.hostname else ""


def entries(value: Any) -> list[Any]:
    """A list, or an empty one for what is none."""
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
        str(value)  # raises, with the words for it
