"""The inbox as JSON: request and response bodies of its operations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.notifications import Notification
from domain.protocol.envelopes import data_text

_ID: Final = "0193a0f4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"
_CURSOR: Final = "1.9fa0b1c2d3e4.5d41402abc4b.inbox:57"

Id = Annotated[UUID, Meta(description="The notification's id, a UUIDv7.", examples=[_ID])]
Seq = Annotated[
    int, Meta(description="The position of its arrival. It orders the inbox and never changes.", examples=[57])
]
Changed = Annotated[int, Meta(description="The position of its last change.", examples=[58])]
EventId = Annotated[str, Meta(description="The id of its event.", examples=["ticket-7-assigned"])]
Unread = Annotated[
    int,
    Meta(
        ge=0, description="The number of notifications in the inbox that are neither read nor archived.", examples=[3]
    ),
]
SessionCursor = Annotated[
    str,
    Meta(
        description="An opaque text that means: everything up to here was received. Pass it to `changes`, or resume a"
        " socket or event stream with it.",
        examples=[_CURSOR],
    ),
]
Text = Annotated[str, Meta(description="What was done, in a sentence.", examples=["Done."])]


class Item(msgspec.Struct, frozen=True):
    """A notification in its current state."""

    id: Id
    seq: Seq
    changed: Changed
    event_id: EventId
    user_id: Annotated[str, Meta(description="The user whose inbox it is in.", examples=["user-b"])]
    title: Annotated[str, Meta(examples=["Ticket 7 was assigned to you"])]
    message: Annotated[str, Meta(examples=["Alex assigned it a minute ago"])]
    notification_type: Annotated[
        str, Meta(description="The type that clients see and that can be muted.", examples=["ticket_assigned"])
    ]
    event_type: Annotated[
        str | None, Meta(description="The type that the publisher gave the event.", examples=["ticket_assigned"])
    ]
    source: Annotated[str, Meta(description="The topic or routing key of the event.", examples=["tickets.assigned"])]
    data: Annotated[
        msgspec.Raw,
        Meta(
            description="The event's data as it was published: any JSON, or a string if it was not JSON.",
            examples=[{"ticket": 7}],
        ),
    ]
    is_read: bool
    is_archived: bool
    is_muted: Annotated[bool, Meta(description="Stored and not pushed, since the user has muted its type.")]
    time: Annotated[datetime, Meta(tz=True, description="The time of the event.")]
    created_at: Annotated[datetime, Meta(tz=True, description="When it was stored.")]
    updated_at: Annotated[datetime, Meta(tz=True, description="When it was last changed.")]
    read_at: Annotated[datetime | None, Meta(description="When it was read; null if it is unread.")]

    @classmethod
    def of(cls, notification: Notification) -> "Item":
        content = notification.content
        return cls(
            id=notification.id,
            seq=notification.seq,
            changed=notification.changed,
            event_id=content.event_id,
            user_id=notification.user,
            title=content.title or "",
            message=content.message or "",
            notification_type=content.type,
            event_type=content.event_type,
            source=content.source,
            data=msgspec.Raw(data_text(content).encode()),
            is_read=notification.state.read,
            is_archived=notification.state.archived,
            is_muted=notification.state.muted,
            time=content.time,
            created_at=notification.stored_at,
            updated_at=notification.updated_at,
            read_at=notification.state.read_at,
        )


class MarkedItem(Item, frozen=True):
    """A notification after the change, with the number of unread notifications."""

    unread_count: Unread

    @classmethod
    def after(cls, notification: Notification, unread: int) -> "MarkedItem":
        item = Item.of(notification)
        return cls(**{name: getattr(item, name) for name in Item.__struct_fields__}, unread_count=unread)


# These are dataclasses, because msgspec supports neither a union of untagged structs nor a literal `true`.
@dataclass(frozen=True)
class Tombstone:
    """An archived notification: remove it from the list."""

    id: Id
    seq: Seq
    changed: Changed
    event_id: EventId
    is_archived: Literal[True] = True


def changed_item(notification: Notification) -> Item | Tombstone:
    if not notification.state.archived:
        return Item.of(notification)
    event_id = notification.content.event_id
    return Tombstone(notification.id, notification.seq, notification.changed, event_id)


class ListMeta(msgspec.Struct, frozen=True, kw_only=True):
    """About a list. `page` and `size` are there without a cursor, `total` only if `page` or `size` was given."""

    unread_count: Unread
    next_cursor: Annotated[
        str | None,
        Meta(description="The `cursor` that lists older items; null at the end.", examples=["p1.5d41402abc4b.57"]),
    ]
    cursor: SessionCursor
    page: int | UnsetType = UNSET
    size: int | UnsetType = UNSET
    total: Annotated[int, Meta(description="The number of items on all pages.")] | UnsetType = UNSET


class NotificationList(msgspec.Struct, frozen=True):
    """Notifications, newest first."""

    data: list[Item]
    meta: ListMeta


class ChangesMeta(msgspec.Struct, frozen=True):
    """About changes. If `gap` is true, fetch the list before you continue from `cursor`. If `more` is true, there are
    more changes now."""

    cursor: SessionCursor
    more: bool
    gap: bool
    unread_count: Unread


@dataclass(frozen=True)
class ChangeList:
    """Changed notifications in the order of their last change, each once."""

    data: list[Item | Tombstone]
    meta: ChangesMeta


class UnreadCount(msgspec.Struct, frozen=True):
    """The number of unread notifications; `by_type` only if requested, without types that have none."""

    unread_count: Unread
    by_type: Annotated[dict[str, int], Meta(examples=[{"ticket_assigned": 3}])] | UnsetType = UNSET


class MarkAllRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to mark as read: all that arrived up to `up_to`, the `seq` or the `id` of a notification. Without it, all
    that are in the inbox now."""

    up_to: Annotated[int | UUID | None, Meta(examples=[57, _ID])] = None


class MarkedRead(msgspec.Struct, frozen=True):
    """The result of marking all as read."""

    message: Text
    marked: Annotated[int, Meta(description="How many were unread before.", examples=[2])]
    unread_count: Unread


class Archived(msgspec.Struct, frozen=True):
    """The result of archiving one notification."""

    message: Text
    unread_count: Unread


class Cleared(msgspec.Struct, frozen=True):
    """The result of archiving all."""

    message: Text
    archived: Annotated[int, Meta(description="How many were archived.", examples=[12])]
    unread_count: Unread
