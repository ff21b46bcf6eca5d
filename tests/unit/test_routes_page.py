"""docs/routes.md is the reference of routes files: its tables are those of the code, its examples work, and there is an
example for each key."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest
from msgspec import inspect

from domain.broker_messages import Message
from domain.dead_letter_reasons import REASONS, DeadLetterReason
from domain.input_faults import tables_in
from domain.planning import plan
from domain.plans import Plan
from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.routes_file import make_profile, parse_document
from domain.source_patterns import as_regex
from entrypoints.brokers import BROKER_NAMES
from entrypoints.cli.routes import check_deliveries, warnings_of
from entrypoints.profiles.backward_compatibility import with_references
from entrypoints.profiles.loader import written_format
from entrypoints.profiles.routes_page import DEAD_LETTERS, TOP, made_tables, page
from entrypoints.settings.loader import read as settings
from tests.support.core import NOW, ROUTE_CHANNELS

FILE: Final = Path(__file__).parents[2] / "docs" / "routes.md"
PAGE: Final = FILE.read_text(encoding="utf-8")
SRC: Final = FILE.parents[1] / "src"
FORMAT: Final = inspect.type_info(written_format())
KEYS: Final = [(place or TOP, field.encode_name) for place, struct in tables_in(FORMAT) for field in struct.fields]
EXAMPLES: Final = [parse_document(text, "routes.md") for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]


def test_the_tables_are_those_of_the_code() -> None:
    assert page(PAGE) == PAGE, "run `task docs`"


def test_every_table_is_in_the_page() -> None:
    """If a table is missing, write `<!-- table: NAME -->` and `<!-- end -->` into a section of its own."""
    assert set(re.findall(r"<!-- table: ([^ ]+) -->", PAGE)) == set(made_tables())


def test_every_key_has_a_description() -> None:
    described = {name: table.count("\n") - 1 for name, table in made_tables().items() if name != DEAD_LETTERS}
    assert sum(described.values()) == len(KEYS)
    assert [row for table in made_tables().values() for row in table.splitlines() if row.endswith("|  |")] == []


def test_every_reason_of_dead_letters_is_explained() -> None:
    assert set(REASONS) == set(get_args(DeadLetterReason))
    code = "".join(path.read_text() for path in SRC.rglob("*.py") if path.name != "dead_letter_reasons.py")
    assert [reason for reason in REASONS if f'"{reason}"' not in code] == []


# --- examples -------------------------------------------------------------------------------------------------


def read(document: dict[str, Any]) -> Profile:
    return make_profile(with_references(document), "routes.md", ROUTE_CHANNELS, BROKER_NAMES)


def plans(profile: Profile) -> list[Plan]:
    """Return the plan of each sample, and of a record without a value in the same topic."""
    table = RouteTable((profile,))
    bodies = [(one.source, json.dumps(one.payload).replace("{user}", "u-1").encode()) for one in profile.samples]
    made = [plan(Message(source, body, NOW, "x"), table) for source, text in bodies for body in (text, None)]
    return [msgspec.structs.replace(one, route=None) for one in made]


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: document.get("profile", "?"))
def test_an_example_is_complete(document: dict[str, Any]) -> None:
    profile = read(document)
    assert list(warnings_of(profile)) == []
    check_deliveries(RouteTable((profile,)), settings({}, "dev", {}))
    for route in profile.routes:
        assert [one for one in profile.samples if re.match(as_regex(route.source), one.source)], route.source
    for sample, made in zip(profile.samples, plans(profile)[::2], strict=True):
        assert made.dead_letter is None, (sample.title, made.dead_letter)
        assert made.addressed or made.broadcasts or made.deliveries or made.sign_outs, sample.title


def keys_in(value: Any, type_: inspect.Type, place: str = "", path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield the keys in a part of a file: their place in the format, their name, and the path of their table."""
    match type_, value:
        case inspect.Metadata(), _:
            yield from keys_in(value, type_.type, place, path)
        case inspect.UnionType(), _:
            for one in type_.types:
                yield from keys_in(value, one, place, path)
        case inspect.VarTupleType(), list():
            for index, item in enumerate(value):
                yield from keys_in(item, type_.item_type, place, (*path, index))
        case inspect.DictType(), dict():
            for name, item in value.items():
                yield from keys_in(item, type_.value_type, place, (*path, name))
        case inspect.StructType(), dict():
            for field in type_.fields:
                if (name := field.encode_name) in value:
                    yield (place or TOP, name), path
                    yield from keys_in(value[name], field.type, f"{place}.{name}".lstrip("."), (*path, name))


def without(document: dict[str, Any], path: tuple[Any, ...], key: str) -> dict[str, Any]:
    table = changed = copy.deepcopy(document)
    for step in path:
        table = table[step]
    del table[key]
    return changed


def result(document: dict[str, Any], place: str) -> Any:
    """Return what the key at a place has an effect on: for one of a route the plans, else the whole profile."""
    try:
        profile = read(document)
    except RoutesInvalid:
        return "invalid"
    return plans(profile) if place.startswith("routes") else profile


@cache
def effective() -> set[tuple[str, str]]:
    """Return the keys that an example has and that change its result."""
    return {
        key
        for document in EXAMPLES
        for key, path in keys_in(document, FORMAT)
        if result(document, key[0]) != result(without(document, path, key[1]), key[0])
    }


@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_every_key_has_an_example_in_which_it_has_an_effect(key: tuple[str, str]) -> None:
    assert key in effective()
