"""Types and values have names that people without knowledge of Python understand."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import inspect

from domain.input_words import MAX_SHOWN_TEXT, nearest, shown, type_words, value_words, with_article


class Table(msgspec.Struct):
    key: int


Scalar = bool | int | float | str


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (str, "text"),
        (bool, "true or false"),
        (int, "whole number"),
        (float, "number"),
        (Any, "any value"),
        (Table, "table"),
        (dict[str, Any], "table"),
        (str | None, "text"),
        (Literal["a", "b", "c"], '"a", "b" or "c"'),
        (tuple[str, ...], "list of texts"),
        (tuple[Table, ...], "list of tables"),
        (Annotated[str, msgspec.Meta(title="path")] | None, "path"),
        (tuple[Annotated[str, msgspec.Meta(title="path")], ...], "list of paths"),
        (tuple[Scalar, ...] | Table, "list of values or table"),
        (int | str, "whole number or text"),
    ],
)
def test_a_type_has_a_name(type_: Any, words: str) -> None:
    assert type_words(inspect.type_info(type_)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (1, "the number 1"),
        (0.5, "the number 0.5"),
        ("a", "the text 'a'"),
        ([], "a list"),
        ({}, "a table"),
    ],
)
def test_a_value_has_a_name(value: Any, words: str) -> None:
    assert value_words(value) == words


def test_long_texts_are_shortened() -> None:
    assert shown("x" * 1_000) == repr("x" * MAX_SHOWN_TEXT + "…")


def test_names_have_an_article_where_english_needs_one() -> None:
    assert [with_article(words) for words in ("text", "table", "list of paths", "true or false", "any value")] == [
        "text",
        "a table",
        "a list of paths",
        "true or false",
        "any value",
    ]


def test_the_nearest_name_is_found() -> None:
    assert nearest("usres", ["source", "users", "omit"]) == "users"
    assert nearest("xyz", ["source", "users"], 0.6) is None
    assert nearest("xyz", ["source", "users"]) is not None
    assert nearest("xyz", []) is None
