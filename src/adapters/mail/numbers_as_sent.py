"""Numbers in mail templates: they are displayed as they were sent, and can be used in calculations."""

import math
from typing import Final

import msgspec


class SentNumber(float):
    """A JSON number with a fraction or an exponent, displayed exactly as it was sent, for example `1.50` instead of
    `1.5`. The result of a calculation with it is an ordinary float."""

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str) -> "SentNumber":
        number = super().__new__(cls, text)
        if math.isinf(number):
            raise ValueError("Number out of range")
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


# Decodes JSON as when events are planned, except that numbers with a fraction or an exponent become SentNumber.
# Integers keep all digits anyway.
decode: Final = msgspec.json.Decoder(float_hook=SentNumber).decode
