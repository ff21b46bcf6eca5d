"""Preferences of users: which notifications are pushed to them, and which deliveries are sent to them."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

MAX_MUTED_TYPES: Final = 100
MAX_TYPE_LENGTH: Final = 255


class Preferences(msgspec.Struct, frozen=True):
    """The preferences of a user. They apply to notifications that are stored and deliveries that are sent after they
    were set. Every notification is stored in the inbox, whatever the preferences.

    `push_notifications` is stored for other services, which send pushes to phones; Herald sends none. `updated_at` is
    None if the user has never set a preference.
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
        """Returns whether the user has this outbound channel, such as `email`, switched on. Other channels than `email`
        and `push` have no switch: for these it returns True.
        """
        return {"email": self.email_notifications, "push": self.push_notifications}.get(channel, True)

    def mutes(self, type_: str) -> bool:
        """Returns whether the user has muted this type. A notification of a muted type is stored as read and not
        pushed.
        """
        return type_ in self.muted_types

    def pushes(self, type_: str) -> bool:
        """Returns whether a notification of this type is pushed to the user's sessions. If not, it is stored in the
        inbox only.
        """
        return self.websocket_notifications and type_ not in self.muted_types


DEFAULT: Final = Preferences()
