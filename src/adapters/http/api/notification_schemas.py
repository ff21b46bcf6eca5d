"""What the REST API for an inbox takes and gives, as JSON."""

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
    int, Meta(description="The position of its arrival: orders the inbox, and never changes.", examples=[57])
]
Changed = Annotated[int, Meta(description="The position of what last happened to it.", examples=[58])]
EventId = Annotated[str, Meta(description="The id of the event that led to it.", examples=["order-7-created"])]
Unread = Annotated[int, Meta(ge=0, description="How many of the inbox are neither read nor archived.", examples=[3])]
SessionCursor = Annotated[
    str,
    Meta(
        description="Says `I have everything up to here`: for `changes`, and to resume sockets and event streams."
        " Opaque.",
        examples=[_CURSOR],
    ),
]
Text = Annotated[str, Meta(description="What was done, for people.", examples=["Done."])]


class Item(msgspec.Struct, frozen=True):
    """A notification, as it stands."""

    id: Id
    seq: Seq
    changed: Changed
    event_id: EventId
    user_id: Annotated[str, Meta(description="Whose it is.", examples=["user-b"])]
    title: Annotated[str, Meta(examples=["Added to Family"])]
    message: Annotated[str, Meta(examples=["alex added kim@example.com to Family"])]
    notification_type: Annotated[
        str, Meta(description="The type that clients see and that can be muted.", examples=["group_user_added"])
    ]
    event_type: Annotated[
        str | None, Meta(description="The type that its publisher gave the event.", examples=["group_user_added"])
    ]
    source: Annotated[
        str, Meta(description="Where the event was published.", examples=["user_service.group.add_users"])
    ]
    data: Annotated[
        msgspec.Raw,
        Meta(
            description="The event's data as it was published: any JSON, or a string if it was none.",
            examples=[{"group_name": "Family"}],
        ),
    ]
    is_read: bool
    is_archived: bool
    is_muted: Annotated[bool, Meta(description="Kept without having been pushed: its user did not want it.")]
    time: Annotated[datetime, Meta(tz=True, description="The event's own time.")]
    created_at: Annotated[datetime, Meta(tz=True, description="When it was stored.")]
    updated_at: Annotated[datetime, Meta(tz=True, description="When something last happened to it.")]
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
            is_read=notification.read,
            is_archived=notification.archived,
            is_muted=notification.muted,
            time=content.time,
            created_at=notification.stored_at,
            updated_at=notification.updated_at,
            read_at=notification.read_at,
        )


class MarkedItem(Item, frozen=True):
    """A notification as it stands now, and how many are unread after that."""

    unread_count: Unread

    @classmethod
    def after(cls, notification: Notification, unread: int) -> "MarkedItem":
        item = Item.of(notification)
        return cls(**{name: getattr(item, name) for name in Item.__struct_fields__}, unread_count=unread)


# Two dataclasses, since msgspec knows no union of structs that only their fields tell apart, and no literal `true`.
@dataclass(frozen=True)
class Tombstone:
    """A notification that is archived: what is left to do is to take it off the list."""

    id: Id
    seq: Seq
    changed: Changed
    event_id: EventId
    is_archived: Literal[True] = True


def changed_item(notification: Notification) -> Item | Tombstone:
    if not notification.archived:
        return Item.of(notification)
    event_id = notification.content.event_id
    return Tombstone(notification.id, notification.seq, notification.changed, event_id)


class ListMeta(msgspec.Struct, frozen=True, kw_only=True):
    """About a list. `page` and `size` where no cursor was given, `total` only where it was asked for by page."""

    unread_count: Unread
    next_cursor: Annotated[
        str | None, Meta(description="Leads to what is older; null at the end.", examples=["p1.5d41402abc4b.57"])
    ]
    cursor: SessionCursor
    page: int | UnsetType = UNSET
    size: int | UnsetType = UNSET
    total: Annotated[int, Meta(description="How many there are on all pages.")] | UnsetType = UNSET


class NotificationList(msgspec.Struct, frozen=True):
    """Notifications, newest first."""

    data: list[Item]
    meta: ListMeta


class ChangesMeta(msgspec.Struct, frozen=True):
    """About changes. With `gap`, fetch the list before you go on from `cursor`; `more` says not to wait."""

    cursor: SessionCursor
    more: bool
    gap: bool
    unread_count: Unread


@dataclass(frozen=True)
class ChangeList:
    """What has changed, in the order in which it did, each notification once."""

    data: list[Item | Tombstone]
    meta: ChangesMeta


class UnreadCount(msgspec.Struct, frozen=True):
    """How much is unread. `by_type` where it was asked for; types without any are left out."""

    unread_count: Unread
    by_type: Annotated[dict[str, int], Meta(examples=[{"group_user_added": 3}])] | UnsetType = UNSET


class MarkAllRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to mark read: all that arrived up to `up_to`, the `seq` or the `id` of a notification. Without it all that
    is there now."""

    up_to: Annotated[int | UUID | None, Meta(examples=[57, _ID])] = None


class MarkedRead(msgspec.Struct, frozen=True):
    """What marking all read has changed."""

    message: Text
    marked: Annotated[int, Meta(description="How many were unread.", examples=[2])]
    unread_count: Unread


class Archived(msgspec.Struct, frozen=True):
    """What archiving one leaves."""

    message: Text
    unread_count: Unread


class Cleared(msgspec.Struct, frozen=True):
    """What clearing has changed."""

    message: Text
    archived: Annotated[int, Meta(description="How many were there.", examples=[12])]
    unread_count: Unread
