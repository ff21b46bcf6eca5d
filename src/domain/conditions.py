"""Conditions: which events a route applies to, by the values of fields of their payloads (the key `when` of a route).

Values are compared as JSON values: text equals only the same text, true only true, and a number every number with the
same value (1 and 1.0). Whole numbers are compared with all their digits, other numbers as 64-bit floats. Of the several
values of a path, one that fulfils the condition is sufficient. null counts as no value.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from domain.payload_paths import fault_in_path

Scalar: TypeAlias = Annotated[bool | int | float | str, Meta(title="value")]
Number: TypeAlias = Annotated[int | float, Meta(title="number")]

# Maximum number of values, and of characters of a value, in a text about a condition.
MAX_SHOWN_VALUES: Final = 5
MAX_SHOWN_CHARACTERS: Final = 40


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the value of a field must be: present, absent, or a number within bounds."""

    present: Annotated[
        bool | None, Meta(description="`true`: the field has a value. `false`: it is absent, null or an empty list.")
    ] = None
    min: Annotated[Number | None, Meta(description="The lowest number that fulfils the condition.")] = None
    max: Annotated[Number | None, Meta(description="The highest number that fulfils the condition.")] = None


# What a route demands of the values of one path: to be one of these, or to fulfil the requirement.
Demand: TypeAlias = tuple[Scalar, ...] | Requirement


class Condition(msgspec.Struct, frozen=True):
    """A condition that is ready to be evaluated.

    `accepts` returns whether a payload that has these values at `path` fulfils the condition. `expected` describes the
    condition for people.
    """

    path: str
    expected: str
    accepts: Callable[[list[Any]], bool]


def unquoted_path(when: object) -> str | None:
    """Returns a hint if a path with dots is not in quotes in the key `when` of a parsed routes file, so that TOML reads
    it as tables in tables; None otherwise.
    """
    for path, demand in when.items() if isinstance(when, dict) else ():
        for key, value in demand.items() if isinstance(demand, dict) else ():
            if isinstance(value, dict | list):
                return f'when.{path}.{key}: a path with dots needs quotes: "{path}.{key}" = …'
    return None


def make_condition(path: str, demand: Demand) -> Condition:
    """Returns the condition for a demand, which must be valid (see `fault_in_demand`)."""
    if not isinstance(demand, Requirement):
        return Condition(path, _listed(demand, "or"), _is_one_of(demand))
    if demand.present is not None:
        return Condition(path, *(("a value", _has_value) if demand.present else ("no value", _has_no_value)))
    return Condition(path, _described(demand), _is_within(demand.min, demand.max))


def described(values: list[Any]) -> str:
    """Describes the values of a payload at a path, for people: `"low"`, `3 and 4`, `an object` or `nothing`."""
    found = [value for value in values if value is not None]
    return _listed(found, "and") if found else "nothing"


def fault_in_conditions(when: Mapping[str, Demand]) -> str | None:
    """Returns the first fault in the key `when` of a route, as `when.<path>: <reason>`; None if all are valid."""
    for path, demand in when.items():
        if fault := fault_in_path(path) or fault_in_demand(demand):
            return f"when.{path or repr(path)}: {fault}"
    return None


def fault_in_demand(demand: Demand) -> str | None:
    """Returns the reason why no value can fulfil a demand, or why it is not clear; None if it is valid."""
    if not isinstance(demand, Requirement):
        if not demand:
            return "the list is empty, so that no value fulfils the condition"
        return "nan and inf are not numbers in JSON" if any(map(_is_not_finite, demand)) else None
    bounds = [bound for bound in (demand.min, demand.max) if bound is not None]
    if any(map(_is_not_finite, bounds)):
        return "nan and inf are not numbers in JSON"
    if demand.present is not None and bounds:
        return "use either present, or min and max"
    if demand.present is None and not bounds:
        return "the table is empty: it needs present, or min, max or both"
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        return f"min ({bounds[0]}) is greater than max ({bounds[1]}), so that no value fulfils the condition"
    return None


def _is_one_of(values: tuple[Scalar, ...]) -> Callable[[list[Any]], bool]:
    if all(type(value) is str for value in values):
        return _is_one_of_texts(frozenset(values))
    # Python considers 1 and True equal: so there is one set for each type of JSON values.
    numbers = frozenset(value for value in values if type(value) in (int, float))
    sets: dict[type, frozenset[Scalar]] = {
        str: frozenset(value for value in values if type(value) is str),
        bool: frozenset(value for value in values if type(value) is bool),
        int: numbers,
        float: numbers,
    }

    def accepts(found: list[Any]) -> bool:
        for value in found:
            equal = sets.get(type(value))
            if equal is not None and value in equal:
                return True
        return False

    return accepts


def _is_one_of_texts(texts: frozenset[Scalar]) -> Callable[[list[Any]], bool]:
    def accepts(found: list[Any]) -> bool:
        # `any` takes twice as long, and this runs for every event.
        for value in found:  # noqa: SIM110
            if type(value) is str and value in texts:
                return True
        return False

    return accepts


def _is_within(lowest: float | None, highest: float | None) -> Callable[[list[Any]], bool]:
    # Python compares whole numbers with floats, and with infinity, exactly.
    lower = -math.inf if lowest is None else lowest
    upper = math.inf if highest is None else highest

    def accepts(found: list[Any]) -> bool:
        for value in found:
            kind = type(value)
            if (kind is int or kind is float) and lower <= value <= upper:
                return True
        return False

    return accepts


def _has_value(found: list[Any]) -> bool:
    return any(value is not None for value in found)


def _has_no_value(found: list[Any]) -> bool:
    return not _has_value(found)


def _is_not_finite(value: Scalar) -> bool:
    return type(value) is float and not math.isfinite(value)


def _described(bounds: Requirement) -> str:
    if bounds.max is None:
        return f"at least {bounds.min}"
    return f"at most {bounds.max}" if bounds.min is None else f"{bounds.min} to {bounds.max}"


def _listed(values: Any, conjunction: str) -> str:
    *others, last = map(_shown, values[:MAX_SHOWN_VALUES])
    if (more := len(values) - MAX_SHOWN_VALUES) > 0:
        return f"{', '.join([*others, last])} {conjunction} {more} more"
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def _shown(value: Any) -> str:
    if type(value) is dict:
        return "an object"
    if type(value) is list:
        return "a list"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
