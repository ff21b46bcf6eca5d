"""Preferences: which notifications are pushed to a user, and which deliveries are sent."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

MAX_MUTED_TYPES: Final = 100
MAX_TYPE_LENGTH: Final = 255


class Preferences(msgspec.Struct, frozen=True):
    """A user's preferences. They apply to notifications stored later and to deliveries sent later. Every notification
    is stored in the inbox, whatever the preferences.

    `push_notifications` is kept for services that send pushes to phones; Herald itself sends none. `updated_at` is None
    if no preference was ever set.
    """

    email_notifications: bool = True
    push_notifications: bool = True
    websocket_notifications: bool = True
    muted_types: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TYPE_LENGTH)], ...],
        msgspec.Meta(max_length=MAX_MUTED_TYPES),
    ] = ()
    updated_at: datetime | None = None

    def wants(self, channel: str) -> bool:
        """Returns whether deliveries through this outbound channel are sent to the user."""
        return {"email": self.email_notifications, "push": self.push_notifications}.get(channel, True)

    def mutes(self, type_: str) -> bool:
        """Returns whether a notification of this type is stored as read and not pushed."""
        return type_ in self.muted_types

    def pushes(self, type_: str) -> bool:
        """Returns whether a notification of this type is pushed. It is stored in either case."""
        return self.websocket_notifications and type_ not in self.muted_types


DEFAULT: Final = Preferences()
