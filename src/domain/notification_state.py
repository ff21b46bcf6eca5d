"""The state of a notification (read, archived, muted) and its changes. This is the only definition of "unread" and of
"unseen"."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from domain.preferences import DEFAULT, Preferences

# The state changes that a user can make; also the `kind` of the entries that report them.
StateChange: TypeAlias = Literal["read", "unread", "archived"]


class NotificationState(msgspec.Struct, frozen=True, gc=False):
    """The properties of a notification that can change. `read_at` is None if it is not read.

    An archived notification is no longer in the inbox, and its state does not change any more. A muted notification is
    stored, but was not pushed to sessions when it arrived.
    """

    read_at: datetime | None = None
    archived: bool = False
    muted: bool = False

    @property
    def read(self) -> bool:
        return self.read_at is not None

    @property
    def unread(self) -> bool:
        """Whether the notification counts as unread: it is neither read nor archived."""
        return UNREAD.matches(self)


class StateFilter(msgspec.Struct, frozen=True):
    """Selects notifications by their state. `read` and `archived` are the required values; None means any value."""

    read: bool | None = None
    archived: bool | None = None

    def matches(self, state: NotificationState) -> bool:
        return (self.read is None or self.read == state.read) and (
            self.archived is None or self.archived == state.archived
        )


UNREAD: Final = StateFilter(read=False, archived=False)
NOT_ARCHIVED: Final = StateFilter(archived=False)


def is_unseen(state: NotificationState, seq: int, seen_seq: int) -> bool:
    """Returns whether a notification counts as unseen: it is unread, and has arrived (at position `seq`) after the
    position `seen_seq`, up to which its user has seen the inbox. A notification of a muted type is not unseen, because
    it is stored as read.
    """
    return seq > seen_seq and state.unread


class Transition(msgspec.Struct, frozen=True):
    """The rule for one kind of state change. A notification whose state matches the filter `before` is changed to
    `values`, which are computed from the time of the change. For any other notification the change is a no-op: no
    position is assigned, and nothing is sent to clients.
    """

    before: StateFilter
    values: Callable[[datetime], Mapping[str, Any]]

    def apply(self, state: NotificationState, now: datetime) -> NotificationState | None:
        """Returns the state after the change, made at the time `now`; None if the change is a no-op for this state."""
        if not self.before.matches(state):
            return None
        return msgspec.structs.replace(state, **self.values(now))


TRANSITIONS: Final[Mapping[StateChange, Transition]] = {
    "read": Transition(UNREAD, lambda now: {"read_at": now}),
    "unread": Transition(StateFilter(read=True, archived=False), lambda now: {"read_at": None}),
    "archived": Transition(NOT_ARCHIVED, lambda now: {"archived": True}),
}

_NEW: Final = NotificationState()


def state_on_arrival(preferences: Preferences, type_: str, now: datetime) -> NotificationState:
    """Returns the state in which a new notification of the type `type_` is stored for a user with these preferences. If
    the user has muted the type, the notification is stored as read at the time `now`.
    """
    if preferences is DEFAULT:
        return _NEW
    read_at = now if preferences.mutes(type_) else None
    return NotificationState(read_at=read_at, muted=not preferences.pushes(type_))
