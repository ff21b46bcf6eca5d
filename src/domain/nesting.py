"""How deep JSON may be nested.

Parsers recurse, and how deep they can depends on how deep the stack is already when they are called: a text that one
caller can read, another can't. A bound of our own, far below, makes the answer the same everywhere.
"""

import re
from typing import Final

# Real events are nested a handful deep.
DEEPEST: Final = 128

_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKETS: Final = re.compile(r"[\[{\]}]")


def too_deep(text: str) -> bool:
    """Whether JSON text is nested deeper than DEEPEST."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            return True
    return False
