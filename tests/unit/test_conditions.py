"""Conditions (`when`): which payloads fulfil them, and which demands are refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.conditions import (
    Demand,
    described,
    fault_in_conditions,
    fault_in_demand,
    make_condition,
)
from domain.events import decode_json
from domain.payload_paths import at_path, names_to, values_at
from domain.routes import RoutesInvalid
from domain.routes_file import read_profile
from tests.support.core import ROUTE_CHANNELS

PRESENT = {"present": True}
ABSENT = {"present": False}


def demand_of(value: Any) -> Demand:
    return msgspec.convert(value, Demand)


def fulfils(payload: Any, path: str, demand: Any) -> bool:
    return make_condition(path, demand_of(demand)).accepts(values_at(payload, path))


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "demand", "fulfilled"),
    [
        ("high", ["high", "urgent"], True),
        ("High", ["high"], False),
        ("low", ["high", "urgent"], False),
        (1, [1], True),
        (1.0, [1], True),
        (1, [1.0], True),
        (0, [-0.0], True),
        (True, [1], False),
        (1, [True], False),
        (False, [0], False),
        (True, [True], True),
        (False, [False, 1], True),
        ("1", [1], False),
        (1, ["1"], False),
        ("true", [True], False),
        (2**53 + 1, [float(2**53)], False),
        (2**64 + 1, [2**64 + 1], True),
        (2**64 + 1, [2**64], False),
        (0.1, [0.1], True),
        ({}, [1, "x"], False),
        ({"a": 1}, [1], False),
        (["low", "high"], ["high"], True),
        ([["high"]], ["high"], False),
        ([], ["high"], False),
        (None, ["null", 0, False, ""], False),
        ("", [""], True),
        (100, {"min": 100, "max": 200}, True),
        (200, {"min": 100, "max": 200}, True),
        (200.5, {"min": 100, "max": 200}, False),
        (99, {"min": 100}, False),
        (10**400, {"min": 1.5}, True),
        (-(10**400), {"max": 1.5}, True),
        ("150", {"min": 100}, False),
        (True, {"min": 1}, False),
        ({}, {"min": 1}, False),
        # One element must be within both bounds.
        ([50, 250], {"min": 100, "max": 200}, False),
        ([50, 150], {"min": 100, "max": 200}, True),
        (2**53 + 1, {"max": 2**53}, False),
        (0, PRESENT, True),
        (False, PRESENT, True),
        ("", PRESENT, True),
        ({}, PRESENT, True),
        ([[]], PRESENT, True),
        ([None, 1], PRESENT, True),
        (None, PRESENT, False),
        ([], PRESENT, False),
        ([None], PRESENT, False),
    ],
)
def test_a_value_fulfils_a_condition(value: Any, demand: Any, fulfilled: bool) -> None:
    assert fulfils({"a": value}, "a", demand) is fulfilled
    assert fulfils({"data": {"a": value}}, "a", demand) is fulfilled
    if demand == PRESENT:
        assert fulfils({"a": value}, "a", ABSENT) is not fulfilled


@pytest.mark.parametrize("payload", [{}, {"a": 5}, {"a": "b"}, {"a": [{"b": 1}]}, {"a": {"c": 1}}, {"a": {"b": None}}])
def test_an_absent_value_fulfils_only_the_demand_for_its_absence(payload: Any) -> None:
    assert fulfils(payload, "a.b", ABSENT)
    for demand in (PRESENT, [1, "b", False], {"min": 0}, {"max": 9}):
        assert not fulfils(payload, "a.b", demand)


# --- paths into lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "path", "values"),
    [
        ({"w": [{"id": 1}, {"id": "b"}]}, "w[].id", [1, "b"]),
        ({"data": {"w": [{"id": 1}]}}, "w[].id", [1]),
        ({"data": {"w": [{"id": 1}]}}, "data.w[].id", [1]),
        ({"w": [{"id": 1}, {}, {"id": None}, 5, "x", None, [{"id": 2}]]}, "w[].id", [1]),
        ({"w": [{"id": [1, 2]}, {"id": 3}]}, "w[].id", [1, 2, 3]),
        ({"w": [1, 2]}, "w[]", [1, 2]),
        ({"w": [[1], [2, 3]]}, "w[][]", [1, 2, 3]),
        ({"w": [[{"x": 1}], [{"x": 2}]]}, "w[][].x", [1, 2]),
        ({"g": [{"m": [{"id": 1}, {"id": 2}]}, {"m": []}, {"m": [{"id": 3}]}]}, "g[].m[].id", [1, 2, 3]),
        ({"w": {"id": 1}}, "w[].id", []),
        ({"w": "ada"}, "w[].id", []),
        ({"w": [{"id": 1}]}, "w.id", []),
        ({"w": []}, "w[].id", []),
        ({}, "w[].id", []),
        ([{"id": 1}], "[].id", []),
        # A field whose name is the whole path comes first, as with dots.
        ({"ids[]": ["a"], "ids": ["b"]}, "ids[]", ["a"]),
        ({"data": {"w[].id": "a"}}, "w[].id", ["a"]),
        ({"a[0]": "x", "a": ["y"]}, "a[0]", ["x"]),
    ],
)
def test_a_path_leads_into_lists(payload: Any, path: str, values: list[Any]) -> None:
    assert values_at(payload, path) == values


# --- the naive model ------------------------------------------------------------------------------------------

SCALARS = st.sampled_from([True, False, 0, 1, 1.0, -1, 2, 2.5, "", "1", "a", "true", 2**63, 2**64 + 1])
NAMES = st.sampled_from(["a", "b", "data", "a.b", "a[]", "a[].b"])
JSON = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PATHS = st.sampled_from(["a", "b", "a.b", "a[]", "a[].b", "a[].a[].b", "b[][].a", "data", "data.a"])
DEMANDS = (
    st.lists(SCALARS, min_size=1, max_size=4)
    | st.fixed_dictionaries({"present": st.booleans()})
    | st.fixed_dictionaries({"min": st.sampled_from([-1, 0, 1.5, 2**63])})
    | st.sampled_from([{"max": 1}, {"min": 0, "max": 2.5}])
)


def model_values(payload: Any, path: str) -> list[Any]:
    def lead(value: Any, steps: list[str]) -> list[Any]:
        if value is None or not steps:
            return [] if value is None else [value]
        if steps[0] == "[]":
            return [found for element in value for found in lead(element, steps[1:])] if type(value) is list else []
        return lead(value.get(steps[0]), steps[1:]) if type(value) is dict else []

    def look(value: Any) -> list[Any]:
        named = type(value) is dict and path in value
        return lead(value, [path] if named else path.replace("[]", ".[]").split("."))

    found = look(payload) or (look(payload.get("data")) if type(payload) is dict else [])
    elements = [element for one in found for element in (one if type(one) is list else [one])]
    return [element for element in elements if element is not None]


def model_equal(one: Any, other: Any) -> bool:
    def kind(value: Any) -> str:
        return {bool: "boolean", int: "number", float: "number", str: "text"}.get(type(value), "other")

    return kind(one) == kind(other) != "other" and one == other


def model(payload: Any, path: str, demand: Any) -> bool:
    values = model_values(payload, path)
    if isinstance(demand, list):
        return any(model_equal(value, wanted) for value in values for wanted in demand)
    if "present" in demand:
        return bool(values) == demand["present"]
    numbers = [value for value in values if type(value) in (int, float)]
    return any(demand.get("min", value) <= value <= demand.get("max", value) for value in numbers)


@given(JSON, PATHS, DEMANDS)
@example({"a": [], "data": {"a": [1]}}, "a", [1])
@example({"a": [None], "data": {"a": [{"b": 1}]}}, "a[].b", [1])
@example({"a": [None], "data": {"a": [1]}}, "a[]", [1])
def test_conditions_agree_with_a_naive_model(payload: Any, path: str, demand: Any) -> None:
    assert fulfils(payload, path, demand) == model(payload, path, demand)


@given(JSON, st.sampled_from(["a", "b", "a.b", "data", "data.a", "a.a.b"]))
def test_the_names_to_a_value_lead_to_it(payload: Any, path: str) -> None:
    value = payload
    for name in names_to(payload, path):
        value = value.get(name) if type(value) is dict else None
    assert value == at_path(payload, path)


@given(JSON, st.text(alphabet="ab.[]", max_size=8))
def test_looking_up_any_path_never_raises(payload: Any, path: str) -> None:
    values_at(payload, path)


# --- what is refused ------------------------------------------------------------------------------------------

HEAD = 'profile = "mine"\n[feeds.news]\n[[routes]]\nsource = "a.b"\n'


@pytest.mark.parametrize(
    ("route", "error"),
    [
        ("when = [1]", "when: must be a table, not a list"),
        ('when = { a = "x" }', "when.a: must be a list of values or a table, not the text 'x': put it in brackets"),
        ("when = { a = [] }", "when.a: the list is empty"),
        ("when = { a = [[1]] }", "when.a, element 1: must be a value, not a list"),
        ("when = { a = [2026-01-01] }", "when.a, element 1: must be a value, not a date or time"),
        ("when = { a = [nan] }", "when.a: nan and inf are not numbers"),
        ("when = { a = { max = inf } }", "when.a: nan and inf are not numbers"),
        ("when = { a = {} }", "when.a: the table is empty"),
        ("when = { a = { min = 2, max = 1 } }", "when.a: min (2) is greater than max (1)"),
        ('when = { a = { min = "2" } }', "when.a.min: must be a number, not the text '2'"),
        ("when = { a = { min = true } }", "when.a.min: must be a number, not true"),
        ("when = { a = { present = 1 } }", "when.a.present: must be true or false, not the number 1"),
        ("when = { a = { present = true, max = 1 } }", "when.a: use either present, or min and max"),
        ("when = { a = { not = 1 } }", "when.a.not: is not a key here"),
        (
            'when = { ticket.priority = ["high"] }',
            'when.ticket.priority: a path with dots needs quotes: "ticket.priority"',
        ),
        ("when = { ticket.size = { min = 1 } }", 'when.ticket.size: a path with dots needs quotes: "ticket.size"'),
        ('when = { "" = [1] }', "when.'': has an empty name"),
        ('when = { "a..b" = [1] }', "when.a..b: has an empty name"),
        ('when = { "a[0].b" = [1] }', "when.a[0].b: has brackets in a name: only [] is possible"),
        ('exclude = "by"', "exclude: must be a list of paths, not the text 'by'"),
        ('exclude = ["by[0]"]', "exclude: 'by[0]' has brackets in a name"),
        ('exclude = ["by", "to"]', "exclude: it has all paths of users"),
        ('id = "items[].id"', "id: 'items[].id' leads to each element of a list ([])"),
        ('inbox = { title = "{to[].id}" }', "inbox.title: has the placeholder {to[].id}"),
        (
            'email = { to = "m", user = "to[].id", subject = "x", template = "t" }',
            "email: user: 'to[].id' leads to each element of a list ([])",
        ),
        (
            'reference = "to[].id"\nemail = { to = "m", subject = "x", template = "t" }',
            "reference: 'to[].id' leads to each element of a list ([])",
        ),
    ],
)
def test_a_faulty_condition_or_path_is_refused_with_file_route_and_key(route: str, error: str) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        read_profile(f'{HEAD}users = ["to"]\n{route}', "mine.toml", ROUTE_CHANNELS)
    assert str(refused.value).startswith(f"mine.toml: route 1 ('a.b'): {error}")


@pytest.mark.parametrize("route", ['feed = "news"', 'sign_out = "by"'])
def test_a_route_without_users_can_exclude_nobody(route: str) -> None:
    with pytest.raises(RoutesInvalid, match=r"mine\.toml: route 1 \('a\.b'\): exclude: it leaves out users of `users`"):
        read_profile(f'{HEAD}{route}\nexclude = ["by"]', "mine.toml", ROUTE_CHANNELS)


def test_brackets_in_the_names_of_older_keys_remain_names() -> None:
    """Routes files of earlier versions remain valid, and mean the same."""
    text = HEAD + 'users = ["user[id]", "ids[]", "a..b"]\nid = "event[id]"'
    (route,) = read_profile(text, "mine.toml").routes
    assert [values_at({"user[id]": 1, "ids[]": [2], "a..b": 3}, path) for path in route.users] == [[1], [2], [3]]


@given(DEMANDS)
def test_every_valid_demand_is_accepted_and_described(demand: Any) -> None:
    read: Demand = demand_of(demand)
    assert fault_in_demand(read) is None
    assert fault_in_conditions({"a[].b": read}) is None
    assert make_condition("a", read).expected


# --- for people -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        (["high"], '"high"'),
        (["high", 1, True], '"high", 1 or true'),
        ([1, 2, 3, 4, 5, 6, 7], "1, 2, 3, 4, 5 or 2 more"),
        (PRESENT, "a value"),
        (ABSENT, "no value"),
        ({"min": 1}, "at least 1"),
        ({"max": 2.5}, "at most 2.5"),
        ({"min": 1, "max": 2}, "1 to 2"),
    ],
)
def test_what_is_expected_is_described(demand: Any, expected: str) -> None:
    assert make_condition("a", demand_of(demand)).expected == expected


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("low", '"low"'),
        (None, "nothing"),
        ([], "nothing"),
        ({}, "an object"),
        ([[]], "a list"),
        ([1, "1", True], '1, "1" and true'),
        (10**300, "1" + "0" * 39 + "…"),
    ],
)
def test_what_was_found_is_described(value: Any, found: str) -> None:
    assert described(values_at({"a": value}, "a")) == found


def test_numbers_of_json_text_are_compared_by_value() -> None:
    payload = decode_json('{"a": 1.0, "b": 100000000000000000001, "c": 1e2, "d": -0}')
    for path, equal in {"a": 1, "b": 10**20 + 1, "c": 100, "d": 0}.items():
        assert fulfils(payload, path, [equal])
    assert not fulfils(payload, "b", [10**20])
