"""The JSON Schema of `herald routes schema` describes the routes files that Herald accepts."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
from click.testing import CliRunner

from entrypoints.cli.main import main
from entrypoints.profiles.loader import SHIPPED
from entrypoints.profiles.shipped_files import PROFILES

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final = json.loads(CliRunner().invoke(main, ["routes", "schema"]).output)
VALIDATOR: Final = jsonschema_rs.Draft202012Validator(SCHEMA)

EXAMPLES: Final = {
    **{name: (PROFILES / f"{name}.toml").read_text(encoding="utf-8") for name in SHIPPED},
    **{path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "examples").rglob("*.toml")},
    **{
        f"routes.md-{number}": text
        for number, text in enumerate(
            re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "routes.md").read_text(encoding="utf-8"), re.DOTALL)
        )
    },
}


def test_it_is_a_schema_of_its_draft() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert jsonschema_rs.meta.is_valid(SCHEMA)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_profile_and_every_example_is_valid(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(tomllib.loads(EXAMPLES[name]))] == []


DOCUMENT: Final[dict[str, Any]] = {
    "profile": "mine",
    "feeds": {"news": {"access": "public"}},
    "endpoints": [{"name": "shop", "path": "/shop", "transport": "ws"}],
    "samples": [{"title": "t", "source": "a", "payload": {"any": "thing"}}],
    "routes": [
        {
            "source": "a",
            "feed": "news",
            "inbox": {"title": "t"},
            "email": {"to": "e", "subject": "s", "template": "t.html"},
        }
    ],
}
TABLES: Final = [(), ("feeds", "news"), ("endpoints", 0), ("samples", 0), ("routes", 0), ("routes", 0, "inbox")]


def changed(path: tuple[Any, ...], key: str, value: Any) -> dict[str, Any]:
    table = document = copy.deepcopy(DOCUMENT)
    for step in path:
        table = table[step]
    table[key] = value
    return document


@pytest.mark.parametrize("path", [*TABLES, ("routes", 0, "email")], ids=str)
def test_a_wrong_key_is_invalid_in_every_table(path: tuple[Any, ...]) -> None:
    assert VALIDATOR.is_valid(DOCUMENT)
    assert not VALIDATOR.is_valid(changed(path, "wrong", "value"))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "profile", "Mine"),
        ((), "broker", "zeromq"),
        ((), "routes", []),
        (("routes", 0), "profile", "mine"),
        (("routes", 0), "channels", []),
        (("routes", 0), "envelope", "paper"),
        (("routes", 0), "users", "to"),
        (("routes", 0), "feed", None),
        (("endpoints", 0), "transport", "tcp"),
    ],
)
def test_a_wrong_value_is_invalid(path: tuple[Any, ...], key: str, value: Any) -> None:
    assert not VALIDATOR.is_valid(changed(path, key, value))


def test_every_key_has_a_description_without_links() -> None:
    tables = [SCHEMA, *SCHEMA["$defs"].values()]
    descriptions = [key.get("description", "") for table in tables for key in table["properties"].values()]
    assert all(descriptions)
    assert not [text for text in descriptions if "](" in text]
