"""Maps the state of a notification (read, archived, muted) to columns: SQL conditions that select by state, and the
values that a state change sets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, TextClause, text

from adapters.sql.row_mapping import RowMapping
from domain.notification_state import TRANSITIONS, UNREAD, NotificationState, StateChange, StateFilter

# The column of each field of NotificationState.
_COLUMNS: Final = {"read_at": "read_at", "archived": "is_archived", "muted": "is_muted"}
STATE: Final = RowMapping(NotificationState, **_COLUMNS)

# The column of each field of StateFilter.
_FILTERED: Final = {"read": "is_read", "archived": "is_archived"}


def in_state(columns: Any, wanted: StateFilter) -> tuple[ColumnElement[bool], ...]:
    """Returns the SQL conditions for notifications whose state matches `wanted`. `columns` are those of the table
    `notifications` or of an alias."""
    values = {column: getattr(wanted, field) for field, column in _FILTERED.items()}
    return tuple(columns[name] if value else ~columns[name] for name, value in values.items() if value is not None)


def seen_unread(columns: Any, seen_seq: Any) -> tuple[ColumnElement[bool], ...]:
    """Returns the SQL conditions for notifications that are unread but not unseen (domain.notification_state): those up
    to the watermark `seen_seq`."""
    return (columns.seq <= seen_seq, *in_state(columns, UNREAD))


def state_predicate(wanted: StateFilter) -> TextClause:
    """Returns the conditions of `in_state` as SQL text, for partial indexes on PostgreSQL and SQLite."""
    values = {column: getattr(wanted, field) for field, column in _FILTERED.items()}
    return text(" AND ".join(name if value else f"NOT {name}" for name, value in values.items() if value is not None))


def state_values(state: NotificationState) -> dict[str, Any]:
    """Returns the columns of `notifications` that store this state, with their values."""
    return _values({field: getattr(state, field) for field in _COLUMNS})


def changed_values(change: StateChange, position: int, now: datetime) -> dict[str, Any]:
    """Returns the columns of `notifications` that a state change sets, with their new values. `position` is the new
    value of `changed`, and `now` the time of the change."""
    return {**_values(TRANSITIONS[change].values(now)), "changed": position, "updated_at": now}


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = {_COLUMNS[field]: value for field, value in fields.items()}
    if "read_at" in fields:
        # Follows from `read_at`. It is a separate column because indexes need it.
        values["is_read"] = fields["read_at"] is not None
    return values
