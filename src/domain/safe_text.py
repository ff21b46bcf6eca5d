"""Functions that make text of unknown origin safe to store, display and send."""

from typing import Final

# At most this many characters are examined for each character of the result.
_EXAMINED_PER_KEPT: Final = 8

# ZERO WIDTH NON-JOINER and JOINER, which are part of Persian words and of some emoji.
_JOINERS: Final = frozenset("\u200c\u200d")


def one_line(text: str, max_length: int) -> str:
    """Returns the text as one line that is safe to store, display and send. Each sequence of line breaks, spaces and
    invisible characters becomes one space, except for joiners (U+200C, U+200D), which are part of words and emoji. A
    line of more than `max_length` characters is cut, with `…` at the end.
    """
    text = text.lstrip()
    # The text may be hostile, so a bounded part of it is examined, unless nearly all of it is invisible.
    start = text[: _EXAMINED_PER_KEPT * max_length]
    printable = (character if character.isprintable() or character in _JOINERS else " " for character in start)
    line = " ".join("".join(printable).split())
    return line if len(line) <= max_length and len(start) == len(text) else f"{line[: max_length - 1]}…"


def visible(text: str, keep: str = "") -> str:
    """Returns the text with all characters escaped that a terminal would interpret or hide, except those in `keep`: the
    character ESC becomes `\\u001b`, as in JSON. JSON text keeps its meaning.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
