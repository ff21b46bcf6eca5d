"""Titles of notifications. They have at most 255 characters, because clients of the services that Herald replaces store
no more.
"""

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
    """Returns the text as a title. A text of more than MAX_TITLE_LENGTH characters is cut, with an ellipsis at the end.
    The cut is never inside a displayed character that consists of several code points (up to 32), such as a letter with
    a combining accent or a joined emoji.
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
    """Returns whether a code point is part of the same displayed character as the one before it, such as a combining
    accent.
    """
    return (
        unicodedata.category(character).startswith("M")
        or character == _ZERO_WIDTH_JOINER
        or ord(character) in _EMOJI_MODIFIERS
    )
