"""One-line templates such as `{author} commented on {subject}`, filled from a payload by dotted paths.

A placeholder with several paths, such as `{subject|title}`, uses the first that leads to text, a number, true or false.
A placeholder that ends with |, such as `{subject|}`, is replaced by empty text if there is no such value.
"""

import re
from typing import Any, Final

from domain.events import at_path
from domain.verbatim_fields import VerbatimFields, can_show

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def validate_template(template: str) -> str | None:
    """What is invalid about a template; None if it is valid."""
    for placeholder in _PLACEHOLDER.findall(template):
        if not all(map(_PATH.match, placeholder.removesuffix("|").split("|"))):
            return f"has the placeholder {{{placeholder}}}, which is not a dotted path, or several separated by |"
    if "{" in (text := _PLACEHOLDER.sub("", template)) or "}" in text:
        return "has an unpaired brace"
    return None


def fill(template: str, fields: VerbatimFields) -> str | None:
    """The text with all placeholders filled; None if the payload lacks a value for one, because incomplete text is
    useless.
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
    """The placeholders that the payload can't fill, without duplicates and braces."""
    return [
        placeholder
        for placeholder in dict.fromkeys(_PLACEHOLDER.findall(template))
        if not any(not path or can_show(at_path(payload, path)) for path in placeholder.split("|"))
    ]
