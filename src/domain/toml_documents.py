"""Parsing of TOML, with error texts in plain words: `line 3, column 9: not valid TOML: ']' is missing`."""

import re
import tomllib
from collections.abc import Collection
from typing import Any, Final

from domain.input_words import nearest

_PLACE: Final = re.compile(r"(.*) \(at (?:end of document|(line \d+, column \d+))\)", re.DOTALL)

# The causes of faults in plain words, by the beginning of the text with which `tomllib` reports them.
_CAUSES: Final = {
    "Cannot mutate immutable namespace": "this table is complete in another place: nothing can be added to it here",
    "Cannot redefine namespace": "this table is defined twice",
    "Duplicate inline table key": "this table has the same key twice",
    "Illegal character '\\n'": "a text must end on its line: its closing quotation mark is missing",
    "Unterminated string": "a text does not end: its closing quotation mark is missing",
    "Unescaped '\\' in a string": "write a backslash as two, or put the text in single quotation marks",
    "Invalid value": "a value is missing, or is a text without quotation marks",
    "Expected '=' after a key in a key/value pair": "after a key, '=' and its value must follow",
    "Invalid initial character for a key part": "a key is missing here, or needs quotation marks",
    "Invalid statement": "a key, or a table such as [[routes]], must be here",
    "Expected newline or end of document after a statement": "nothing else may be on the line of a value or a table",
    "Expected ']' at the end of a table declaration": "']' is missing",
    "Expected ']]' at the end of an array declaration": "']]' is missing",
    "Unclosed array": "a list does not end: a comma or ']' is missing",
    "Unclosed inline table": "a table must end on its line: a comma or '}' is missing",
}


# What `tomllib` says of a key or table that is defined twice.
_TWICE: Final = re.compile(r"Cannot overwrite a value|Cannot declare \(.*\) twice")
_HEADER: Final = re.compile(r"^[ \t]*(\[\[?)[ \t]*([^\[\]\n]*?)[ \t]*\]", re.MULTILINE)
_KEY: Final = re.compile(r"^[ \t]*([\w.\"' -]*?)[ \t]*=", re.MULTILINE)

# The similarity of two names, from 0 to 1, from which on one may be the other, misspelt.
_SIMILAR: Final = 0.8


class NotToml(ValueError):
    """Raised for a text that is not TOML. The message has the line and the column, and the reason."""


def parse_toml(text: str, lists: Collection[str] = ()) -> dict[str, Any]:
    """Returns the tables and values of a TOML text. Raises NotToml, whose text uses `lists`: the keys that stand for
    lists of tables, such as `routes`.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotToml("not valid TOML: lists or tables are nested too deeply") from None
    # Not only TOMLDecodeError: Python refuses to convert numbers with thousands of digits.
    except ValueError as error:
        raise NotToml(_in_plain_words(str(error), text, lists)) from None


def _in_plain_words(error: str, text: str, lists: Collection[str]) -> str:
    match = _PLACE.fullmatch(error)
    if match is None:
        return f"not valid TOML: {error}"
    said, place = match[1], match[2] or "end of the file"
    if _TWICE.match(said):
        cause: str | None = _defined_twice(text, _offset(match[2], text), lists)
    else:
        cause = next((words for beginning, words in _CAUSES.items() if said.startswith(beginning)), None)
    return f"{place}: not valid TOML: {cause or said}"


def _offset(place: str | None, text: str) -> int:
    """Returns the number of characters before a place, such as `line 3, column 9`; without one, of the whole text."""
    if place is None:
        return len(text)
    line, column = map(int, re.findall(r"\d+", place))
    return sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1


def _defined_twice(text: str, offset: int, lists: Collection[str]) -> str:
    """Returns which key or table is defined twice, and what to do about it. It ends at the offset."""
    brackets = text[offset : offset + 2].rstrip().count("]")
    headers = _HEADER.findall(text[: offset + brackets])
    bracket, table = headers[-1] if headers else ("", "")
    if brackets:
        return _table_defined_twice(bracket == "[[", table, lists)
    keys = _KEY.findall(text[:offset])
    twice = f"the key {keys[-1]!r} is defined twice" if keys else "this key is defined twice"
    if bracket == "[[":
        return f"{twice} in one [[{table}]]: remove one, or write [[{table}]] above it to begin another"
    return f"{twice} in [{table}]: remove one" if table else f"{twice}: remove one"


def _table_defined_twice(is_list: bool, name: str, lists: Collection[str]) -> str:
    if is_list:
        return f"{name} is defined in another way above: if there are several, write [[{name}]] above each"
    text = f"the table [{name}] is defined twice"
    if one := nearest(name, lists, _SIMILAR):
        return f"{text}: if there are several, write [[{one}]] above each"
    outer = name.partition(".")[0]
    if outer in lists:
        return f"{text} for one [[{outer}]]: remove one, or write [[{outer}]] above it to begin another"
    return f"{text}, or is a value elsewhere: remove one"
