"""Plain words for types and values of input that people write, such as routes files: for error texts and references."""

import difflib
from collections.abc import Iterable
from typing import Any, Final

from msgspec import inspect

MAX_SHOWN_TEXT: Final = 60


def type_words(type_: inspect.Type) -> str:
    """Returns the name of a type: `text`, `list of paths`, `"raw" or "flat"`. None in a union is left out: a key that
    may be None need not be set. A type with a `title` in its Meta has this title as its name.
    """
    match type_:
        case inspect.Metadata():
            title: str = (type_.extra_json_schema or {}).get("title", "")
            return title or type_words(type_.type)
        case inspect.UnionType():
            names = [type_words(one) for one in type_.types if not isinstance(one, inspect.NoneType)]
            return " or ".join(_without_scalars(names))
        case inspect.LiteralType():
            return _either([f'"{value}"' if isinstance(value, str) else str(value) for value in type_.values])
        case inspect.VarTupleType() | inspect.ListType():
            return f"list of {_plural(type_words(type_.item_type))}"
        case inspect.StructType() | inspect.DictType():
            return "table"
        case inspect.StrType():
            return "text"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "whole number"
        case inspect.FloatType():
            return "number"
        case _:
            return "any value"


def value_words(value: Any) -> str:
    """Returns what a value of a TOML file is: `the text 'a'`, `the number 5`, `a list`, `a table`."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the text {shown(value)}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def shown(text: str) -> str:
    """Returns a text in quotes for an error text. Long texts are shortened."""
    return repr(text if len(text) <= MAX_SHOWN_TEXT else f"{text[:MAX_SHOWN_TEXT]}…")


def with_article(words: str) -> str:
    """Returns the name of a type for a sentence such as `must be …`: `list or table` becomes `a list or a table`."""
    names = words.split(" or ")
    return " or ".join(f"a {name}" if name.split()[0] in _COUNTABLE else name for name in names)


def nearest(name: str, possible: Iterable[str], at_least: float = 0.0) -> str | None:
    """Returns the text among `possible` that is most similar to `name`; None if the similarity of all of them, from 0
    to 1, is less than `at_least`.
    """
    return next(iter(difflib.get_close_matches(name, list(possible), 1, at_least)), None)


_COUNTABLE: Final = frozenset(
    {"list", "table", "path", "template", "pattern", "name", "file", "number", "whole", "value"}
)


def _without_scalars(names: list[str]) -> list[str]:
    """Returns the names of the types in a union with `value` for text, numbers, true and false, if it has all these."""
    scalars = ("text", "whole number", "number", "true or false")
    if not {"text", "true or false"} <= set(names):
        return names
    return ["value", *(name for name in names if name not in scalars)]


def _plural(words: str) -> str:
    return f"{words}s" if words.split()[-1].isalpha() and words != "any value" else words


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
