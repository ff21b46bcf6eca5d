"""RowMapping: one declaration gives the columns of a SELECT and the function that reads its rows."""

from typing import Any

import msgspec
import pytest

from adapters.sql import stream_row_mappings
from adapters.sql.queries import broadcasts, feeds, inboxes, notifications
from adapters.sql.row_mapping import RowMapping
from adapters.sql.state_columns import STATE, changed_values, in_state, state_values
from domain.notification_state import TRANSITIONS, UNREAD, NotificationState
from tests.support.core import NOW


class Inner(msgspec.Struct, frozen=True):
    a: int
    b: int = 0


class Outer(msgspec.Struct, frozen=True):
    name: str
    first: Inner
    second: Inner
    more: str = "default"


MAPPING = RowMapping(Outer, name="name", first=RowMapping(Inner, a="x", b="y"), second=RowMapping(Inner, a="z"))


def test_a_row_is_read_in_column_order_from_any_offset() -> None:
    row = dict(zip(MAPPING.columns, ("n", 1, 2, 3), strict=True))
    assert row == {"name": "n", "x": 1, "y": 2, "z": 3}
    expected = Outer("n", Inner(1, 2), Inner(3))
    assert MAPPING.reader()(tuple(row.values())) == expected
    assert MAPPING.reader(2)(("before", None, *row.values(), "behind")) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"first": "x"},
        {"first": "x", "name": "n"},
        {"name": "n", "unknown": "x"},
        {"name": "n", "second": RowMapping(Inner, a="x")},
    ],
)
def test_a_declaration_that_does_not_match_the_struct_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Outer has these fields"):
        RowMapping(Outer, **fields)


def test_a_column_may_not_follow_a_nested_mapping() -> None:
    class Mixed(msgspec.Struct):
        inner: Inner
        name: str

    with pytest.raises(TypeError):
        RowMapping(Mixed, inner=RowMapping(Inner, a="x"), name="name")


@pytest.mark.parametrize(
    ("mapping", "table"),
    [
        (stream_row_mappings.NOTIFICATION, notifications),
        (stream_row_mappings.BROADCAST, broadcasts),
        (stream_row_mappings.INBOX_HEAD, inboxes),
        (stream_row_mappings.FEED_HEAD, feeds),
        (stream_row_mappings.INBOX_COUNTER, inboxes),
        (stream_row_mappings.FEED_COUNTER, feeds),
    ],
)
def test_every_mapping_names_columns_of_its_table_once(mapping: RowMapping[Any], table: Any) -> None:
    assert set(mapping.columns) <= set(table.columns.keys())
    assert len(set(mapping.columns)) == len(mapping.columns)


def test_every_field_of_the_state_has_a_column() -> None:
    assert len(STATE.columns) == len(NotificationState.__struct_fields__)
    for state in (NotificationState(), NotificationState(NOW, archived=True, muted=True)):
        values = state_values(state)
        assert STATE.reader()([values[name] for name in STATE.columns]) == state
        assert values["is_read"] == state.read


@pytest.mark.parametrize("change", TRANSITIONS)
def test_a_change_sets_the_columns_of_the_changed_fields(change: Any) -> None:
    fields = dict(TRANSITIONS[change].values(NOW))
    after = state_values(msgspec.structs.replace(NotificationState(NOW, muted=True), **fields))
    changed = changed_values(change, 7, NOW)
    assert (changed.pop("changed"), changed.pop("updated_at")) == (7, NOW)
    assert changed.items() <= after.items()
    assert {name for name in STATE.columns if name in changed} == {
        column
        for field, column in zip(NotificationState.__struct_fields__, STATE.columns, strict=True)
        if field in fields
    }


def test_the_condition_for_unread_follows_the_domain_definition() -> None:
    conditions = [str(condition) for condition in in_state(notifications.c, UNREAD)]
    assert conditions == ["NOT notifications.is_read", "NOT notifications.is_archived"]
