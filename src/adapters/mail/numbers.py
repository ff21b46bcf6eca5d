"""Numbers in mail templates: displayed as they were sent, and usable in calculations."""

import math
from typing import Final

import msgspec


class SentNumber(float):
    """A number with a fraction or an exponent that keeps its text from the event: `1.50`, `1e-5`. Results of
    calculations are ordinary numbers.
    """

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


# Decodes as planning does, except that numbers keep their text. Whole numbers keep all their digits anyway.
decode: Final = msgspec.json.Decoder(float_hook=SentNumber).decode
