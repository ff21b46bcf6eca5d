"""Titles of notifications. They have at most 255 characters, because clients of the services that Herald replaces store
no more.
"""

import unicodedata
from typing import Annotated, Final

import msgspec

from domain.preferences import MAX_TYPE_LENGTH

MAX_TITLE_LENGTH: Final = 255

_ELLIPSIS: Final = "…"
_ZERO_WIDTH_JOINER: Final = "\u200d"
# Control characters, and separators of lines and paragraphs.
_NOT_IN_A_LINE: Final = frozenset({"Cc", "Zl", "Zp"})
# Skin tones, which belong to the preceding character. The other combining characters have a category that begins with
# M.
_EMOJI_MODIFIERS: Final = range(0x1F3FB, 0x1F400)
# Maximum number of code points in one displayed character; longer ones are cut at the limit.
_LONGEST_CHARACTER: Final = 32


class TypeTitle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table `[types.<type>]` of a profile: what users see about notifications of this type."""

    title: Annotated[
        str,
        msgspec.Meta(
            description="The name of the type for users, such as `Comments on my tickets`: plain text in one line, at"
            " most 255 characters."
        ),
    ]


def unquoted_type(types: object) -> str | None:
    """Returns a hint if a type with dots is not in quotes in the key `types` of a parsed routes file, so that TOML
    reads it as tables in tables; None otherwise.
    """
    for type_, declared in types.items() if isinstance(types, dict) else ():
        for key, value in declared.items() if isinstance(declared, dict) else ():
            if isinstance(value, dict):
                return f'types.{type_}.{key}: a type with dots needs quotes: [types."{type_}.{key}"]'
    return None


def validate_type_title(type_: str, declared: TypeTitle) -> str | None:
    """Returns the reason why a table `[types.<type>]` is invalid; None if it is valid."""
    if not type_ or len(type_) > MAX_TYPE_LENGTH or "\0" in type_:
        return f"the type must have 1 to {MAX_TYPE_LENGTH} characters, and no U+0000"
    if not declared.title.strip():
        return "title: is empty"
    if len(declared.title) > MAX_TITLE_LENGTH:
        return f"title: has {len(declared.title)} characters; at most {MAX_TITLE_LENGTH} are allowed"
    if any(unicodedata.category(character) in _NOT_IN_A_LINE for character in declared.title):
        return "title: contains a line break or another control character"
    return None


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


def title_of_type(type_: str) -> str:
    """Returns a title for a notification type that declares none: `ticket.created` becomes `Ticket created`."""
    return as_title(type_.replace("_", " ").replace(".", " ").capitalize())


def _continues(character: str) -> bool:
    """Returns whether a code point is part of the same displayed character as the one before it, such as a combining
    accent.
    """
    return (
        unicodedata.category(character).startswith("M")
        or character == _ZERO_WIDTH_JOINER
        or ord(character) in _EMOJI_MODIFIERS
    )
