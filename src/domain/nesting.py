"""How deep JSON may be nested.

Parsers recurse, and how deep they can depends on how deep the stack is already when they are called: a text that one
caller can read, another can't. A limit of our own, far below, makes the answer the same everywhere.

The depth is counted before a text is parsed, so the count must cost no more on hostile text than on any other. Each
step below is one pass over the text in C; the one loop in Python has a step for eight brackets.
"""

from array import array
from itertools import accumulate
from operator import add
from typing import Final

# Real events are nested a handful deep.
DEEPEST: Final = 128

_QUOTES_AND_BRACKETS: Final = b'"[]{}'
_OTHERS: Final = bytes(set(range(256)) - set(_QUOTES_AND_BRACKETS))

# An opening bracket is a bit that is set, a closing one a bit that is not.
_BITS: Final = bytes.maketrans(b"[]{}", b"1010")


def _steps(eight: int) -> list[int]:
    """The eight steps that the bits of a byte stand for: 1 is one deeper, -1 one less deep."""
    return [1 if eight & bit else -1 for bit in (128, 64, 32, 16, 8, 4, 2, 1)]


# By how much eight brackets change the depth, and how deep they go meanwhile. As bytes, read as signed numbers.
_CHANGES: Final = array("b", [sum(_steps(eight)) for eight in range(256)]).tobytes()
_PEAKS: Final = array("b", [max(0, *accumulate(_steps(eight))) for eight in range(256)]).tobytes()


def too_deep(text: str) -> bool:
    """Whether JSON text is nested deeper than DEEPEST. A text that is no JSON counts as deep as a parser could follow
    it, or deeper."""
    return text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST


def _depth(text: str) -> int:
    brackets = _brackets(text)
    size = -(-len(brackets) // 8)
    # Eight brackets a byte; what is missing in the last one is filled up with closing brackets.
    eights = int(brackets.ljust(8 * size, b"0") or b"0", 2).to_bytes(size, "big")
    before = accumulate(array("b", eights.translate(_CHANGES)), initial=0)
    return max(map(add, before, array("b", eights.translate(_PEAKS))), default=0)


def _brackets(text: str) -> bytes:
    """The brackets outside strings, in order: `1` for an opening one, `0` for a closing one."""
    # Nothing of what is looked for is beyond ASCII. Escapes come in pairs, from the left, so that what is left of a
    # backslash before a quote escapes it.
    ascii_text = text.encode("ascii", "ignore").replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = ascii_text.translate(None, _OTHERS)
    # Two adjacent quotes begin and end a string, or end one and begin the next: what is between quotes stays so.
    parts = marks.replace(b'""', b"").split(b'"')
    return b"".join(parts[::2]).translate(_BITS)
