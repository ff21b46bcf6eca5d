"""Times as producers and clients write them."""

import re
from datetime import UTC, datetime
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]+(\.[0-9]+)?\Z")

# Seconds since 1970 from March 1973 on, and milliseconds of the same time: what is smaller or larger, or lies between,
# is another kind of number.
_SECONDS_FROM: Final = 100_000_000
_MILLISECONDS_FROM: Final = 100_000_000_000
_MILLISECONDS_TO: Final = 100_000_000_000_000

# Digits of the latest milliseconds, and the few of a fraction that matter.
_LONGEST: Final = 32


def is_number(text: str) -> bool:
    """Whether the text is digits only, with or without a fraction."""
    return _DIGITS.match(text) is not None


def since_1970(number: str | float) -> datetime | None:
    """The time that a number of seconds or milliseconds since 1970 means, by its magnitude; None if it is neither."""
    if isinstance(number, str):
        if len(number) > _LONGEST or not is_number(number):
            return None
        number = float(number)
    if _SECONDS_FROM <= number < _MILLISECONDS_FROM:
        return datetime.fromtimestamp(number, UTC)
    if _MILLISECONDS_FROM <= number < _MILLISECONDS_TO:
        return datetime.fromtimestamp(number / 1000, UTC)
    return None
