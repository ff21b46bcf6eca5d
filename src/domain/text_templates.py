"""Templates of one line such as `{author} commented on {subject}`, filled from a payload by dotted paths.

A placeholder with several paths, such as `{subject|title}`, uses the first path that leads to text, a number, true or
false. If no path does, the template can't be filled; but a placeholder that ends with |, such as `{subject|}`, is
replaced by empty text.
"""

import re
from typing import Any, Final

from domain.events import at_path
from domain.verbatim_fields import VerbatimFields, can_show

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def validate_template(template: str) -> str | None:
    """Returns what is invalid about a template; None if it is valid."""
    for placeholder in _PLACEHOLDER.findall(template):
        if not all(map(_PATH.match, placeholder.removesuffix("|").split("|"))):
            return f"has the placeholder {{{placeholder}}}, which is not a dotted path, or several separated by |"
    if "{" in (text := _PLACEHOLDER.sub("", template)) or "}" in text:
        return "has an unpaired brace"
    return None


def fill(template: str, fields: VerbatimFields) -> str | None:
    """Returns the text with all placeholders filled. Returns None if the payload lacks a value for one of them, because
    incomplete text is useless.
    """
    missing = False

    def value(placeholder: re.Match[str]) -> str:
        nonlocal missing
        for path in placeholder[1].split("|"):
            text = fields.text_at(path) if path else ""
            if text is not None:
                return text
        missing = True
        return ""

    filled = _PLACEHOLDER.sub(value, template)
    return None if missing else filled


def unfilled(template: str, payload: Any) -> list[str]:
    """Returns the placeholders that the payload can't fill, each once, without their braces."""
    return [
        placeholder
        for placeholder in dict.fromkeys(_PLACEHOLDER.findall(template))
        if not any(not path or can_show(at_path(payload, path)) for path in placeholder.split("|"))
    ]
