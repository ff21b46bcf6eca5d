"""Texts with placeholders."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import decode_json
from domain.text_templates import fill, unfilled, validate_template
from domain.verbatim_fields import VerbatimFields
from tests.unit.test_events import JSON


def filled_from(text: str, template: str) -> str | None:
    return fill(template, VerbatimFields(decode_json(text), text))


def as_sent(number: str) -> str | None:
    return filled_from(f'{{"x": {number}}}', "{x}")


@pytest.mark.parametrize("template", ["", "words", "{a}", "{a.b-c.d_1} and {x}", "{a}{b}", "{a|b.c}", "{a|}", "{a|b|}"])
def test_valid_templates_are_accepted(template: str) -> None:
    assert validate_template(template) is None


@pytest.mark.parametrize(
    "template",
    [
        "{",
        "}",
        "{}",
        "{a b}",
        "{a.}",
        "{.a}",
        "{a",
        "a}",
        "{{a}}",
        "{a!r}",
        "{a:>10}",
        "{a\n}",
        "{|}",
        "{|a}",
        "{a||}",
        "{a||b}",
    ],
)
def test_invalid_templates_are_refused(template: str) -> None:
    assert validate_template(template)


@pytest.mark.parametrize(
    ("payload", "filled"),
    [
        ({"who": "Ada", "group": {"name": "Chess"}}, "Ada joined Chess"),
        ({"data": {"who": "Ada", "group": {"name": "Chess"}}}, "Ada joined Chess"),
        ({"who": 1, "group": {"name": 2.5}}, "1 joined 2.5"),
        ({"who": "", "group": {"name": "x"}}, " joined x"),
        ({"who": "{who}", "group": {"name": "\\1"}}, "{who} joined \\1"),
        ({"who": "Ada"}, None),
        ({"who": None, "group": {"name": "x"}}, None),
        ({"who": ["Ada"], "group": {"name": "x"}}, None),
        ({"who": "Ada", "group": "x"}, None),
        ("text", None),
    ],
)
def test_placeholders_are_filled_all_or_none(payload: Any, filled: str | None) -> None:
    assert filled_from(json.dumps(payload), "{who} joined {group.name}") == filled


@pytest.mark.parametrize(
    ("payload", "filled"),
    [
        ({"name": "Ada"}, "Hello Ada!"),
        ({"nick": "ada", "name": None}, "Hello ada!"),
        ({"name": {}, "nick": []}, "Hello !"),
        ({}, "Hello !"),
        ("text", "Hello !"),
    ],
)
def test_a_placeholder_that_ends_with_a_bar_may_be_empty(payload: Any, filled: str) -> None:
    assert filled_from(json.dumps(payload), "Hello {name|nick|}!") == filled


def test_other_placeholders_of_a_line_still_need_their_fields() -> None:
    assert filled_from('{"a": 1}', "{a} {b|}{c}") is None
    assert unfilled("{a} {b|}{c} {d|e} {c}", {"a": 1, "d": {}}) == ["c", "d|e"]
    assert unfilled("{a}{b|}", {"a": ""}) == []


NUMBERS = [
    "0",
    "-0",
    "7",
    "-0.0",
    "1.50",
    "1.0",
    "0.00001",
    "1e-5",
    "1E5",
    "1e+2",
    "1.5e300",
    "123456789012345678901.50",
]
HUGE = ["18446744073709551616", "-9223372036854775809", "1" + "0" * 100]


@pytest.mark.parametrize("number", [*NUMBERS, *HUGE])
def test_a_number_keeps_its_notation(number: str) -> None:
    assert as_sent(number) == number
    for text, path in (
        (f'{{"x":{{"y":{{"z":{number}}}}}}}', "x.y.z"),
        (f'{{"x.y":{number},"x":{{"y":2}}}}', "x.y"),
        (f'{{"data":{{"x":{number}}}}}', "x"),
        (f'{{"x":null,"data":{{"x.y":{number}}}}}', "x.y"),
        (f'{{"data":{{"x":1.5,"data":2.5}},"x":{number}}}', "x"),
        (f'{{"x":1.5,"\\u0078":{number}}}', "x"),
        (f'  {{ "é" : 1.5 ,\n "x" : {number} \t}} ', "x"),
    ):
        assert filled_from(text, f"<{{{path}}}>") == f"<{number}>", text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_every_number_keeps_its_notation(number: float) -> None:
    assert as_sent(json.dumps(number)) == json.dumps(number)


def test_true_and_false_keep_their_notation() -> None:
    assert (as_sent("true"), as_sent("false")) == ("true", "false")


def test_several_numbers_of_several_objects() -> None:
    text = '{"a":{"x":1.0,"y":2.0},"b":{"x":3.0},"c":4.0}'
    assert filled_from(text, "{a.x} {b.x} {a.y} {c} {a.x}") == "1.0 3.0 2.0 4.0 1.0"


@given(st.text(), JSON)
def test_filling_anything_with_anything_never_raises(template: str, payload: Any) -> None:
    filled_from(json.dumps(payload), template)
    unfilled(template, payload)


@given(st.text())
def test_a_valid_template_without_placeholders_is_unchanged(template: str) -> None:
    if validate_template(template) is None and "{" not in template:
        assert filled_from("{}", template) == template
