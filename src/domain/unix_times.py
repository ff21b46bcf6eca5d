"""The formats in which producers write times."""

import re
from datetime import UTC, datetime
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]+(\.[0-9]+)?\Z")

# Numbers of seconds and of milliseconds both begin at the same time (March 1973). Numbers outside these two adjacent
# ranges are not times.
_SECONDS_FROM: Final = 100_000_000
_MILLISECONDS_FROM: Final = 100_000_000_000
_MILLISECONDS_TO: Final = 100_000_000_000_000

# Maximum length of a number: the digits of the latest time in milliseconds, and the significant digits of a fraction.
_LONGEST: Final = 32


def is_number(text: str) -> bool:
    """Returns whether the text is a decimal number without sign or exponent, such as `1796010100` or `1796010100.5`."""
    return _DIGITS.match(text) is not None


def since_1970(number: str | float) -> datetime | None:
    """Converts a number of seconds or milliseconds since 1970 to a time in UTC. Numbers from 100,000,000 are seconds
    (from March 1973 on); numbers from 100,000,000,000 are milliseconds (from the same time on). Returns None for
    smaller numbers, for numbers from 100,000,000,000,000, and for text that is not a number.
    """
    if isinstance(number, str):
        if len(number) > _LONGEST or not is_number(number):
            return None
        number = float(number)
    if _SECONDS_FROM <= number < _MILLISECONDS_FROM:
        return datetime.fromtimestamp(number, UTC)
    if _MILLISECONDS_FROM <= number < _MILLISECONDS_TO:
        return datetime.fromtimestamp(number / 1000, UTC)
    return None
