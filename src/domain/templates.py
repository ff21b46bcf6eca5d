"""Words with holes, as `{requester_username} added you to {group_name}`: filled from a payload by dotted paths."""

import re
from collections.abc import Callable
from typing import Any, Final

from domain.events import at_path

_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def fault_in_template(template: str) -> str | None:
    """What is wrong with a template, in words; None when it is sound."""
    for path in _HOLE.findall(template):
        if not _PATH.match(path):
            return f"has the hole {{{path}}}, which is not a dotted path"
    if "{" in (rest := _HOLE.sub("", template)) or "}" in rest:
        return "has a brace without its partner"
    return None


def fill(template: str, payload: Any, write: Callable[[Any], str] = str) -> str | None:
    """The words with every hole filled; None if a hole has nothing to fill it, since half a sentence tells a user
    less than none."""
    missing = False

    def value(hole: re.Match[str]) -> str:
        nonlocal missing
        found = at_path(payload, hole[1])
        if found is None or type(found) in (dict, list):
            missing = True
            return ""
        return write(found)

    filled = _HOLE.sub(value, template)
    return None if missing else filled
