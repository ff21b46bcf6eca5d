"""Titles of notifications. They have at most 255 characters, because clients of earlier services store no more."""

import unicodedata
from typing import Final

MAX_TITLE_LENGTH: Final = 255

_ELLIPSIS: Final = "…"
_ZERO_WIDTH_JOINER: Final = "\u200d"
# Skin tones, which belong to the preceding character. The other combining characters have a category that begins with
# M.
_EMOJI_MODIFIERS: Final = range(0x1F3FB, 0x1F400)
# Maximum number of code points in one displayed character; longer ones are cut at the limit.
_LONGEST_CHARACTER: Final = 32


def as_title(text: str) -> str:
    """Returns the text, cut to MAX_TITLE_LENGTH characters with an ellipsis at the end. Combining marks and joined
    emoji are removed together with the character that they belong to.
    """
    if len(text) <= MAX_TITLE_LENGTH:
        return text
    end = MAX_TITLE_LENGTH - len(_ELLIPSIS)
    for cut in range(end, end - _LONGEST_CHARACTER, -1):
        if not (_continues(text[cut]) or text[cut - 1] == _ZERO_WIDTH_JOINER):
            end = cut
            break
    return text[:end].rstrip() + _ELLIPSIS


def _continues(character: str) -> bool:
    """Returns whether the character is part of the preceding one."""
    return (
        unicodedata.category(character).startswith("M")
        or character == _ZERO_WIDTH_JOINER
        or ord(character) in _EMOJI_MODIFIERS
    )
