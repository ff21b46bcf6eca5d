"""The limit of nesting in JSON texts.

JSON parsers are recursive. How deep they can go depends on how deep the call stack already is when they are called, so
one caller could parse a text that another could not. MAX_DEPTH is far less than parsers can reach from any caller, so
the result is the same for all.

The depth is computed before a text is parsed, so this must not take longer for hostile texts than for others. Each step
is a single pass over the text in C; the only loop in Python runs once for every eight brackets.
"""

from array import array
from itertools import accumulate
from operator import add
from typing import Final

# Real events are nested about five levels deep.
MAX_DEPTH: Final = 128

_QUOTES_AND_BRACKETS: Final = b'"[]{}'
_OTHERS: Final = bytes(set(range(256)) - set(_QUOTES_AND_BRACKETS))

# An opening bracket becomes a 1 bit, a closing bracket a 0 bit.
_BITS: Final = bytes.maketrans(b"[]{}", b"1010")


def _steps(eight: int) -> list[int]:
    """Returns the change of depth for each of eight brackets, which are the bits of the byte `eight`, highest first: 1
    for an opening bracket (1 bit), -1 for a closing bracket (0 bit).
    """
    return [1 if eight & bit else -1 for bit in (128, 64, 32, 16, 8, 4, 2, 1)]


# By byte value: how much its eight brackets change the depth in total, and the deepest level within them. Stored as
# bytes and read as signed numbers.
_CHANGES: Final = array("b", [sum(_steps(eight)) for eight in range(256)]).tobytes()
_PEAKS: Final = array("b", [max(0, *accumulate(_steps(eight))) for eight in range(256)]).tobytes()


def too_deep(text: str) -> bool:
    """Returns whether a JSON text has more than MAX_DEPTH levels of nesting. For a text that is not JSON, it returns
    True if a parser could reach more than MAX_DEPTH levels before it finds the error; it may then also return True
    although no parser would.
    """
    return text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH


def _depth(text: str) -> int:
    brackets = _brackets(text)
    size = -(-len(brackets) // 8)
    # Eight brackets per byte; the last byte is padded with closing brackets.
    eights = int(brackets.ljust(8 * size, b"0") or b"0", 2).to_bytes(size, "big")
    before = accumulate(array("b", eights.translate(_CHANGES)), initial=0)
    return max(map(add, before, array("b", eights.translate(_PEAKS))), default=0)


def _brackets(text: str) -> bytes:
    """Returns the brackets of a JSON text in their order, without those in strings: `1` for each opening bracket, `0`
    for each closing bracket.
    """
    # All relevant characters are ASCII. Escaped backslashes are removed first, from the left, so that a remaining
    # backslash before a quote escapes that quote.
    ascii_text = text.encode("ascii", "ignore").replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = ascii_text.translate(None, _OTHERS)
    # Two adjacent quotes are an empty string, or the end of one string and the start of the next. Removing them does
    # not change whether the text around them is inside a string.
    parts = marks.replace(b'""', b"").split(b'"')
    return b"".join(parts[::2]).translate(_BITS)
