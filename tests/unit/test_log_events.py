"""docs/log-events.md lists the log events of the code: keys, levels and fields."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "log-events.md").read_text()

# Logger methods and the level of their output.
LEVELS: Final = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "error"}

# Keywords that structlog consumes; the traceback is the field `exception` of every event.
OPTIONS: Final = frozenset({"exc_info", "stack_info"})

SNAKE_CASE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+\Z")


class Call(msgspec.Struct, frozen=True):
    """A call of a logger method in src."""

    place: str
    node: ast.Call
    level: str

    @property
    def key(self) -> str:
        first = self.node.args[0] if self.node.args else None
        return str(first.value) if isinstance(first, ast.Constant) else ""

    @property
    def fields(self) -> set[str]:
        return {str(keyword.arg) for keyword in self.node.keywords} - OPTIONS


@cache
def calls() -> Sequence[Call]:
    return tuple(_calls())


def _calls() -> Iterator[Call]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text if "log." in text else "")):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_logger(node.func.value):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                assert node.func.attr in LEVELS, f"{place}: write log.<level>(...)"
                yield Call(place, node, LEVELS[node.func.attr])


def is_logger(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "log"


def rows(columns: int) -> Iterator[list[str]]:
    """Return the rows of all tables of the page with that many columns and code in the first cell."""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == columns:
            yield cells


def code_in(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_logger_is_named_log() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for line in path.read_text().splitlines():
            if "structlog.get_logger(" in line:
                assert line == "log = structlog.get_logger(__name__)", f"{path}: {line}"


def test_event_keys_are_literals_and_variables_are_fields() -> None:
    assert calls()
    for call in calls():
        assert len(call.node.args) == 1, f"{call.place}: one positional argument, the key"
        assert SNAKE_CASE.match(call.key), f"{call.place}: {call.key!r} is no key in snake_case"
        assert None not in {keyword.arg for keyword in call.node.keywords}, f"{call.place}: name each field"


def test_the_page_lists_each_event_with_its_levels_and_fields() -> None:
    levels, fields = defaultdict(set), defaultdict(set)
    for call in calls():
        levels[call.key].add(call.level)
        fields[call.key] |= call.fields
    listed = {key: (level, names) for (cell, level, names, _) in rows(4) for key in code_in(cell)}
    assert {key: set(re.split(r", ", level)) for key, (level, _) in listed.items()} == dict(levels)
    assert {key: code_in(names) for key, (_, names) in listed.items()} == dict(fields)


def test_the_page_lists_each_event_once_with_its_meaning() -> None:
    keys = [key for (cell, *_) in rows(4) for key in code_in(cell)]
    assert len(keys) == len(set(keys))
    assert all(meaning for *_, meaning in rows(4))


def test_the_page_explains_each_field_once() -> None:
    used = {field for call in calls() for field in call.fields}
    explained = [name for (cell, _) in rows(2) for name in code_in(cell)]
    assert len(explained) == len(set(explained))
    assert used <= set(explained), f"not in the table of fields: {used - set(explained)}"
    assert set(explained) - used <= ALWAYS, f"no event has these fields: {set(explained) - used - ALWAYS}"


# Fields that any line may have.
ALWAYS: Final = frozenset(
    {"timestamp", "level", "logger", "event", "service", "node", "exception", "request_id", "request_ids"}
)
