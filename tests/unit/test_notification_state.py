"""The state of a notification: the effect of each change on each state, and what counts as unread."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.notification_state import (
    NOT_ARCHIVED,
    TRANSITIONS,
    UNREAD,
    NotificationState,
    StateChange,
    StateFilter,
    is_unseen,
    state_on_arrival,
)
from domain.preferences import DEFAULT, Preferences

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
NOW = EARLIER + timedelta(hours=1)

UNREAD_STATE = NotificationState()
READ_STATE = NotificationState(read_at=EARLIER)
ARCHIVED_UNREAD = NotificationState(archived=True)
ARCHIVED_READ = NotificationState(read_at=EARLIER, archived=True)

STATES = st.builds(NotificationState, st.none() | st.just(EARLIER), st.booleans(), st.booleans())
FLAGS = st.none() | st.booleans()


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (UNREAD_STATE, "read", NotificationState(read_at=NOW)),
        (UNREAD_STATE, "unread", None),
        (UNREAD_STATE, "archived", ARCHIVED_UNREAD),
        (READ_STATE, "read", None),
        (READ_STATE, "unread", UNREAD_STATE),
        (READ_STATE, "archived", ARCHIVED_READ),
        (ARCHIVED_UNREAD, "read", None),
        (ARCHIVED_UNREAD, "unread", None),
        (ARCHIVED_UNREAD, "archived", None),
        (ARCHIVED_READ, "read", None),
        (ARCHIVED_READ, "unread", None),
        (ARCHIVED_READ, "archived", None),
    ],
)
def test_the_table_of_transitions(
    before: NotificationState, change: StateChange, after: NotificationState | None
) -> None:
    assert TRANSITIONS[change].apply(before, NOW) == after


@given(STATES, st.sampled_from(list(TRANSITIONS)))
def test_a_change_is_idempotent_and_keeps_other_values(state: NotificationState, change: StateChange) -> None:
    after = TRANSITIONS[change].apply(state, NOW)
    if after is None:
        return
    assert TRANSITIONS[change].apply(after, NOW) is None
    assert after.muted == state.muted
    assert after.archived >= state.archived


@given(STATES)
def test_unread_means_neither_read_nor_archived(state: NotificationState) -> None:
    assert state.unread == (state.read_at is None and not state.archived)
    assert UNREAD.matches(state) == state.unread
    assert NOT_ARCHIVED.matches(state) == (not state.archived)


@given(STATES, st.integers(1, 9), st.integers(0, 9))
def test_unseen_means_unread_and_later_than_the_watermark(state: NotificationState, seq: int, seen_seq: int) -> None:
    assert is_unseen(state, seq, seen_seq) == (state.unread and seq > seen_seq)
    muted = state_on_arrival(Preferences(muted_types=("alert",)), "alert", NOW)
    assert not is_unseen(muted, seq, seen_seq)


@given(STATES, FLAGS, FLAGS)
def test_a_filter_compares_only_the_values_that_are_set(
    state: NotificationState, read: bool | None, archived: bool | None
) -> None:
    expected = read in (None, state.read) and archived in (None, state.archived)
    assert StateFilter(read, archived).matches(state) == expected


@pytest.mark.parametrize(
    ("preferences", "state"),
    [
        (DEFAULT, NotificationState()),
        (Preferences(muted_types=("other",)), NotificationState()),
        (Preferences(muted_types=("alert",)), NotificationState(read_at=NOW, muted=True)),
        (Preferences(websocket_notifications=False), NotificationState(muted=True)),
    ],
)
def test_the_state_on_arrival_follows_the_preferences(preferences: Preferences, state: NotificationState) -> None:
    assert state_on_arrival(preferences, "alert", NOW) == state
