"""The state of a notification and its transitions. This module has the only definition of "unread"."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from domain.preferences import DEFAULT, Preferences

# The state changes that a user can make; also the `kind` of the entries that report them.
StateChange: TypeAlias = Literal["read", "unread", "archived"]


class NotificationState(msgspec.Struct, frozen=True, gc=False):
    """The part of a notification that can change.

    An archived notification has left the inbox and does not change any more. A muted one is stored, but not pushed.
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
    """A condition on the state of a notification. Each field is the required value of the property of the same name in
    NotificationState; None matches any value.
    """

    read: bool | None = None
    archived: bool | None = None

    def matches(self, state: NotificationState) -> bool:
        return (self.read is None or self.read == state.read) and (
            self.archived is None or self.archived == state.archived
        )


UNREAD: Final = StateFilter(read=False, archived=False)
NOT_ARCHIVED: Final = StateFilter(archived=False)


class Transition(msgspec.Struct, frozen=True):
    """One state change. It applies to notifications whose state matches `before`, and sets the `values` for the time of
    the change. For all other notifications it is a no-op: no position is assigned, and nothing is sent to clients.
    """

    before: StateFilter
    values: Callable[[datetime], Mapping[str, Any]]

    def apply(self, state: NotificationState, now: datetime) -> NotificationState | None:
        """Returns the state after the change; None for a no-op."""
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
    """Returns the state in which a notification of this type is stored for a user with these preferences."""
    if preferences is DEFAULT:
        return _NEW
    read_at = now if preferences.mutes(type_) else None
    return NotificationState(read_at=read_at, muted=not preferences.pushes(type_))
