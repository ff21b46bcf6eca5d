"""Inserts the tables into docs/routes.md that are declared in the code: the keys of each table of a routes file, and
the reasons of dead letters.

Run `python -m entrypoints.profiles.routes_page docs/routes.md`. It replaces the text between `<!-- table: NAME -->` and
`<!-- end -->`. The name is that of a place in routes files, such as `routes.email`; `file` for the keys at the top; or
`dead-letters`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

from msgspec import NODEFAULT, inspect

from domain.dead_letter_reasons import REASONS
from domain.input_faults import tables_in
from domain.input_words import type_words
from entrypoints.profiles.loader import written_format

# The names of the tables that are no place in a routes file.
TOP: Final = "file"
DEAD_LETTERS: Final = "dead-letters"

_MARKED: Final = re.compile(r"(<!-- table: ([a-z_.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str) -> str:
    """Returns the text of the page with the tables at all marked places. Raises KeyError for an unknown name."""
    tables = made_tables()
    return _MARKED.sub(lambda mark: f"{mark[1]}\n{tables[mark[2]]}\n\n{mark[3]}", text)


def made_tables() -> dict[str, str]:
    """Returns all tables, in Markdown, by their name."""
    reasons = [f"| `{code}` | {why.cause} | {why.remedy} |" for code, why in REASONS.items()]
    return {
        **{place or TOP: _keys(struct) for place, struct in tables_in(inspect.type_info(written_format()))},
        DEAD_LETTERS: "\n".join(("| reason | cause | what to do |", "|---|---|---|", *reasons)),
    }


def _keys(struct: inspect.StructType) -> str:
    return "\n".join(("| key | type | default | meaning |", "|---|---|---|---|", *map(_row, struct.fields)))


def _row(field: inspect.Field) -> str:
    notes = _notes(field.type)
    cells = (_key(field), _type(field.type), _default(field, notes), notes.get("description", ""))
    # In a table, Markdown takes `|` for the end of a cell, also in code.
    joined = " | ".join(cell.replace("|", r"\|") for cell in cells)
    return f"| {joined} |"


def _key(field: inspect.Field) -> str:
    match _plain(field.type):
        case inspect.VarTupleType(item_type=item) if isinstance(_plain(item), inspect.StructType):
            return f"`[[{field.encode_name}]]`"
        case inspect.DictType(value_type=value) if isinstance(_plain(value), inspect.StructType):
            return f"`[{field.encode_name}.<name>]`"
        case _:
            return f"`{field.encode_name}`"


def _type(type_: inspect.Type) -> str:
    return re.sub(r'"[^"]*"', r"`\g<0>`", type_words(type_))


def _default(field: inspect.Field, notes: dict[str, Any]) -> str:
    if field.required:
        return "required"
    if "unset" in notes:
        return str(notes["unset"])
    if field.default in (None, (), NODEFAULT):
        return "none"
    return f"`{json.dumps(field.default)}`"


def _plain(type_: inspect.Type) -> inspect.Type:
    while isinstance(type_, inspect.Metadata):
        type_ = type_.type
    return type_


def _notes(type_: inspect.Type) -> dict[str, Any]:
    """Returns the notes of a type: those of the innermost Meta first, so that the outer ones take precedence."""
    if not isinstance(type_, inspect.Metadata):
        return {}
    return {**_notes(type_.type), **(type_.extra_json_schema or {}), **(type_.extra or {})}


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")
