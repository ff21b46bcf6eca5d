"""Parsers of settings. Each converts the text of an environment variable to a value, or raises ValueError (see
domain.setting_declarations.Parser).
"""

import math
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

# Letters of any script, and `_`, which occurs in names in container networks.
_HOST: Final = re.compile(r"[\w.-]+")


def verbatim(value: str) -> str:
    """Returns the text unchanged, with any spaces around it: in a secret, every character counts."""
    return value


def text(value: str) -> str:
    return value.strip()


def items(*values: str) -> tuple[str, ...]:
    """Parses comma-separated lists into one list without duplicates: `a, b,,a` becomes `("a", "b")`."""
    return tuple(dict.fromkeys(item for value in values for part in value.split(",") if (item := part.strip())))


def choice(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        for word in words:
            if value.strip().casefold() == word.casefold():
                return word
        raise ValueError(f"must be {', '.join(words[:-1])} or {words[-1]}, not {value!r}")

    return parse


def switch(value: str) -> bool:
    return choice("off", "on")(value) == "on"


def whole(most: int | None = None) -> Callable[[str], int]:
    """Returns a parser of whole numbers from 1 to `most`; if `most` is None, of at most 15 digits."""

    def parse(value: str) -> int:
        number = int(value) if re.fullmatch(r"\s*[0-9]{1,15}\s*", value) else 0
        if number < 1 or (most is not None and number > most):
            limits = f"from 1 to {most}" if most else "of at least 1"
            raise ValueError(f"must be a whole number {limits}, not {value!r}")
        return number

    return parse


port_number: Final = whole(65_535)
days: Final = whole(36_500)


def seconds(value: str) -> float:
    number = _number(value)
    if not (0 < number < math.inf):
        raise ValueError(f"must be a number of seconds above 0, not {value!r}")
    return number


def per_second(value: str) -> float:
    """Parses a rate per second, a number of at least 0. 0 means no limit."""
    number = _number(value)
    if not (0 <= number < math.inf):
        raise ValueError(f"must be a number of at least 0, not {value!r}")
    return number


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def host_name(value: str) -> str:
    """Parses a host name or an IP address, without a port. An IPv6 address must be without brackets. The error does not
    repeat the text, because it may be a URL that contains a password.
    """
    name = value.strip()
    try:
        if _HOST.fullmatch(name):
            # Checks the name as clients do when they look it up.
            name.encode("idna")
        else:
            ip_address(name)
    except ValueError:
        raise ValueError("must be only the name or address of a host; the port is a separate setting") from None
    return name


def http_url(value: str) -> str:
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a URL that begins with http:// or https://")
    return url
