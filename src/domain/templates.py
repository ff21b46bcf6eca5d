"""Words with holes, as `{requester_username} added you to {group_name}`: filled from a payload by dotted paths. A hole
with several, as `{status|new_status}`, takes the first that leads to text, a number, true or false. One that ends with
|, as `{status|}`, is empty text where none does."""

import re
from typing import Any, Final

from domain.events import at_path
from domain.sent_fields import SentFields, can_show

_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def validate_template(template: str) -> str | None:
    """What is wrong with a template, in words; None when it is sound."""
    for hole in _HOLE.findall(template):
        if not all(map(_PATH.match, hole.removesuffix("|").split("|"))):
            return f"has the hole {{{hole}}}, which is not a dotted path, nor several with | between or at the end"
    if "{" in (rest := _HOLE.sub("", template)) or "}" in rest:
        return "has a brace without its partner"
    return None


def fill(template: str, fields: SentFields) -> str | None:
    """The words with every hole filled; None if a hole has nothing to fill it, since half a sentence tells a user
    less than none."""
    missing = False

    def value(hole: re.Match[str]) -> str:
        nonlocal missing
        for path in hole[1].split("|"):
            text = fields.text_at(path) if path else ""
            if text is not None:
                return text
        missing = True
        return ""

    filled = _HOLE.sub(value, template)
    return None if missing else filled


def unfilled(template: str, payload: Any) -> list[str]:
    """The holes that a payload has nothing for, each once, without their braces."""
    holes = dict.fromkeys(_HOLE.findall(template))
    return [hole for hole in holes if not any(not path or can_show(at_path(payload, path)) for path in hole.split("|"))]
