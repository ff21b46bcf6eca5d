"""Templates of one line, such as `{author} commented on {subject}`. A placeholder is a dotted path, and is replaced by
the value of the payload at this path: text, a number, true or false.

A placeholder may have several paths: `{subject|title}` is replaced by the first of them that has such a value. If none
has, the template can't be filled, unless the placeholder ends with `|`: `{subject|}` is then replaced by empty text.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from domain.payload_paths import at_path
from domain.verbatim_fields import VerbatimFields, can_show

PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
# Maximum number of templates whose parts are cached. Templates come from routes files, so there are few of them.
CACHED_TEMPLATES: Final = 4096

# Names of filters in the templates of mails and in other languages: those that fields hardly ever have, and others.
_FILTERS: Final = frozenset(
    {"abs", "capitalize", "default", "escape", "float", "int", "join", "length", "lower", "money", "replace", "round"}
    | {"safe", "strip", "striptags", "tojson", "trim", "truncate", "upper", "urlencode", "urlize"}
)
_FILTERS_OR_FIELDS: Final = _FILTERS | {"date", "day", "line", "link", "title"}

_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def validate_template(template: str) -> str | None:
    """Returns the reason why a template is invalid, such as `has an unpaired brace`; None if it is valid."""
    for placeholder in PLACEHOLDER.findall(template):
        if not all(map(_PATH.match, placeholder.removesuffix("|").split("|"))):
            return f"has the placeholder {{{placeholder}}}, which is not a dotted path, or several separated by |"
    if "{" in (text := PLACEHOLDER.sub("", template)) or "}" in text:
        return "has an unpaired brace"
    return None


def fill(template: str, fields: VerbatimFields, encode: Callable[[str], str] | None = None) -> str | None:
    """Returns the template with all placeholders replaced by values of the payload; each value is first converted by
    `encode`. Returns None if the payload has no value for one of them, because an incomplete text is useless.
    """
    filled, placeholders = _parts(template)
    for paths, following in placeholders:
        for path in paths:
            text = fields.text_at(path) if path else ""
            if text is not None:
                break
        else:
            return None
        filled += (text if encode is None else encode(text)) + following
    return filled


def unfilled(template: str, payload: Any) -> list[str]:
    """Returns the placeholders of a template for which this payload has no value, without braces and duplicates, such
    as `["subject|title"]`.
    """
    return [
        placeholder
        for placeholder in dict.fromkeys(PLACEHOLDER.findall(template))
        if not any(not path or can_show(at_path(payload, path)) for path in placeholder.split("|"))
    ]


def placeholders_of(template: str) -> dict[str, list[str]]:
    """Returns the placeholders of a template, without braces, and the paths of each: `{subject|title|}` becomes
    `{"subject|title|": ["subject", "title"]}`.
    """
    return {one: [path for path in one.split("|") if path] for one in PLACEHOLDER.findall(template)}


def is_filter(path: str, *, is_no_field: bool) -> bool:
    """Returns whether a path after `|` in a placeholder, such as `upper` in `{text|upper}`, is probably meant as a
    filter, which templates in routes don't have. `is_no_field`: no field with this path is known, although examples of
    events are.
    """
    return path in (_FILTERS_OR_FIELDS if is_no_field else _FILTERS)


@lru_cache(CACHED_TEMPLATES)
def _parts(template: str) -> tuple[str, tuple[tuple[tuple[str, ...], str], ...]]:
    """Splits a template into the text before the first placeholder, and the paths of each placeholder with the text
    after it: `Re: {subject|title}!` becomes `("Re: ", ((("subject", "title"), "!"),))`.
    """
    first, *others = PLACEHOLDER.split(template)
    placeholders = zip(others[::2], others[1::2], strict=True)
    return first, tuple((tuple(placeholder.split("|")), text) for placeholder, text in placeholders)
