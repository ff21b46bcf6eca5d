"""Parsing of TOML, with error texts in plain words: `line 3, column 9: not valid TOML: this key is defined twice`."""

import re
import tomllib
from typing import Any, Final

_PLACE: Final = re.compile(r"(.*) \(at (?:end of document|(line \d+, column \d+))\)", re.DOTALL)

# The causes of faults in plain words, by the beginning of the text with which `tomllib` reports them.
_CAUSES: Final = {
    "Cannot overwrite a value": "this key or table is defined twice",
    "Cannot declare": "this table is defined twice",
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


class NotToml(ValueError):
    """Raised for a text that is not TOML. The message has the line and the column, and the reason."""


def parse_toml(text: str) -> dict[str, Any]:
    """Returns the tables and values of a TOML text. Raises NotToml."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotToml("not valid TOML: lists or tables are nested too deeply") from None
    # Not only TOMLDecodeError: Python refuses to convert numbers with thousands of digits.
    except ValueError as error:
        raise NotToml(_in_plain_words(str(error))) from None


def _in_plain_words(error: str) -> str:
    match = _PLACE.fullmatch(error)
    if match is None:
        return f"not valid TOML: {error}"
    said, place = match[1], match[2] or "end of the file"
    cause = next((words for beginning, words in _CAUSES.items() if said.startswith(beginning)), None)
    return f"{place}: not valid TOML: {cause or said}"
