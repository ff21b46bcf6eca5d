"""Words with holes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.templates import fault_in_template, fill
from tests.unit.test_events import JSON


@pytest.mark.parametrize("template", ["", "words", "{a}", "{a.b-c.d_1} and {x}", "{a}{b}"])
def test_sound_templates(template: str) -> None:
    assert fault_in_template(template) is None


@pytest.mark.parametrize(
    "template", ["{", "}", "{}", "{a b}", "{a.}", "{.a}", "{a", "a}", "{{a}}", "{a!r}", "{a:>10}", "{a\n}"]
)
def test_unsound_templates_are_refused(template: str) -> None:
    assert fault_in_template(template)


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
def test_holes_are_filled_all_or_none(payload: Any, filled: str | None) -> None:
    assert fill("{who} joined {group.name}", payload) == filled


@given(st.text(), JSON)
def test_filling_anything_with_anything_never_raises(template: str, payload: Any) -> None:
    fill(template, payload)


@given(st.text())
def test_a_template_that_is_sound_and_has_no_holes_is_itself(template: str) -> None:
    if fault_in_template(template) is None and "{" not in template:
        assert fill(template, {}) == template
