"""Request and response bodies of the operations on an inbox."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.notifications import Notification
from domain.positions import Head
from domain.protocol.plain_envelopes import data_text

_ID: Final = "0193a0f4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"
_CURSOR: Final = "1.9fa0b1c2d3e4.5d41402abc4b.inbox:57"

Id = Annotated[UUID, Meta(description="The notification's id, a UUIDv7.", examples=[_ID])]
Seq = Annotated[
    int,
    Meta(
        description="The position in the inbox of the notification's latest arrival. It may grow, and never becomes"
        " smaller. Lists are sorted by `seq`, highest first.",
        examples=[57],
    ),
]
Changed = Annotated[
    int,
    Meta(
        description="The position in the inbox of the notification's last change. If the notification has not changed"
        " since it arrived, this is equal to `seq`.",
        examples=[58],
    ),
]
EventId = Annotated[str, Meta(description="The id of the event.", examples=["ticket-7-assigned"])]
Unread = Annotated[
    int,
    Meta(
        ge=0, description="The number of notifications in the inbox that are neither read nor archived.", examples=[3]
    ),
]
Unseen = Annotated[
    int,
    Meta(
        ge=0,
        description="The number of unread notifications in the inbox that have arrived after the watermark, which"
        " `PUT /api/v2/notifications/seen` moves.",
        examples=[1],
    ),
]
SeenSeq = Annotated[
    int,
    Meta(
        ge=0,
        description="The watermark of the inbox: the position up to which the user has seen the notifications; 0 if the"
        " user has seen none.",
        examples=[55],
    ),
]
SessionCursor = Annotated[
    str,
    Meta(
        description="An opaque string for the position in the inbox up to which the response is complete. To receive"
        " only what comes after this position, pass the string as `since` to `GET /api/v2/notifications/changes`, or"
        " as `cursor` when you connect to a WebSocket or an event stream.",
        examples=[_CURSOR],
    ),
]
Text = Annotated[str, Meta(description="A sentence that says what was done.", examples=["Done."])]


class Item(msgspec.Struct, frozen=True):
    """A notification of an inbox, in its current state."""

    id: Id
    seq: Seq
    changed: Changed
    event_id: EventId
    user_id: Annotated[str, Meta(description="The user to whom the notification is addressed.", examples=["user-b"])]
    title: Annotated[str, Meta(examples=["Ticket 7 was assigned to you"])]
    message: Annotated[str, Meta(examples=["Alex assigned it a minute ago"])]
    url: Annotated[
        str | None,
        Meta(
            description="The address that the notification links to: an http or https URL, or a path that begins with"
            " a slash, of the site that shows the notification; null if it links to nothing.",
            examples=["/tickets/7"],
        ),
    ]
    notification_type: Annotated[
        str, Meta(description="The type of the notification. Users can mute types.", examples=["ticket_assigned"])
    ]
    event_type: Annotated[
        str | None,
        Meta(description="The type that the publisher gave the event; null if none.", examples=["ticket_assigned"]),
    ]
    source: Annotated[str, Meta(description="The topic or routing key of the event.", examples=["tickets.assigned"])]
    data: Annotated[
        msgspec.Raw,
        Meta(
            description="The payload of the event, without the fields that its route omits: any JSON value, or a string"
            ' if the payload was not JSON. If the payload is wrapped, as in `{"event_type": …, "data": …}`, only its'
            " `data`, unless the route's `envelope` is `raw` or `flat`.",
            examples=[{"ticket": 7}],
        ),
    ]
    is_read: bool
    is_archived: bool
    is_muted: Annotated[
        bool,
        Meta(
            description="True if the notification was stored, but not sent to connected clients, because the user had"
            " muted its type or switched off `websocket_notifications`."
        ),
    ]
    time: Annotated[
        datetime, Meta(tz=True, description="When the event happened, according to its publisher or broker.")
    ]
    created_at: Annotated[datetime, Meta(tz=True, description="When the notification was stored.")]
    updated_at: Annotated[datetime, Meta(tz=True, description="When the notification was last changed.")]
    read_at: Annotated[datetime | None, Meta(description="When the notification was read; null if it is unread.")]

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
            url=content.url,
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
    """A notification after it was marked as read or unread, and the numbers of unread and of unseen notifications that
    the inbox then has."""

    unread_count: Unread
    unseen_count: Unseen

    @classmethod
    def after(cls, notification: Notification, head: Head) -> "MarkedItem":
        item = Item.of(notification)
        fields = {name: getattr(item, name) for name in Item.__struct_fields__}
        return cls(**fields, unread_count=head.unread, unseen_count=head.unseen)


# These are dataclasses, because msgspec supports neither a union of untagged structs nor a literal `true`.
@dataclass(frozen=True)
class Tombstone:
    """What `GET /api/v2/notifications/changes` returns instead of an `Item` for a notification that was archived.
    Remove the notification with this `id` from the list that you show."""

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
    """Paging data of a list of notifications. `page` and `size` are left out if the request has a `cursor`. `total` is
    included only if the request has `page` or `size`."""

    unread_count: Unread
    unseen_count: Unseen
    seen_seq: SeenSeq
    next_cursor: Annotated[
        str | None,
        Meta(
            description="Pass this as `cursor` in the next request, to list older items; null on the last page.",
            examples=["p1.5d41402abc4b.57"],
        ),
    ]
    cursor: SessionCursor
    page: int | UnsetType = UNSET
    size: int | UnsetType = UNSET
    total: Annotated[int, Meta(description="The number of notifications on all pages.")] | UnsetType = UNSET


class NotificationList(msgspec.Struct, frozen=True):
    """One page of notifications, newest first."""

    data: list[Item]
    meta: ListMeta


class WatermarkMoved(msgspec.Struct, frozen=True):
    """A move of the watermark of the inbox, which also has a position. `seq` is the watermark: the user has seen all
    notifications up to this position. `changed` is the position of the move, and `unseen` the number of unseen
    notifications. WebSockets and event streams send the same as an object of the kind `seen`."""

    stream: Annotated[str, Meta(examples=["inbox"])]
    seq: Annotated[int, Meta(examples=[57])]
    changed: Annotated[int, Meta(examples=[60])]
    unseen: Annotated[int, Meta(ge=0, examples=[0])]


class ChangesMeta(msgspec.Struct, frozen=True):
    """How to continue after a list of changes. Pass `cursor` as `since` in the next request. If `more` is true, further
    changes are already available: send the next request immediately. If `gap` is true, some changes are missing,
    because they are no longer stored or because `since` was invalid: reload the list (`GET /api/v2/notifications`),
    then continue with `cursor`. `seen` is included only if the watermark was moved since then: the last move."""

    cursor: SessionCursor
    more: bool
    gap: bool
    unread_count: Unread
    unseen_count: Unseen
    seen: WatermarkMoved | UnsetType = UNSET


@dataclass(frozen=True)
class ChangeList:
    """Notifications that have arrived or changed, in the order of their last change. Each notification occurs once, in
    its current state: an `Item`, or a `Tombstone` if it is archived."""

    data: list[Item | Tombstone]
    meta: ChangesMeta


class UnreadCount(msgspec.Struct, frozen=True):
    """The numbers of unread and of unseen notifications in the inbox. `by_type` has the number of unread ones for each
    `notification_type` that has any; it is included only if the request has `by_type=true`."""

    unread_count: Unread
    unseen_count: Unseen
    by_type: Annotated[dict[str, int], Meta(examples=[{"ticket_assigned": 3}])] | UnsetType = UNSET


class MarkAllRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which notifications to mark as read. `up_to` is the `seq` (an integer) or the `id` (a UUID) of a notification:
    this notification, and all that arrived before it, are marked. Without `up_to`, all notifications are marked that
    are in the inbox when the request starts."""

    up_to: Annotated[int | UUID | None, Meta(examples=[57, _ID])] = None


class MarkSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to where the user has seen the inbox. `up_to` is the `seq` (an integer) or the `id` (a UUID) of a
    notification: this notification, and all that arrived before it, are seen. Without `up_to`, all notifications are
    seen that are in the inbox when the request starts."""

    up_to: Annotated[int | UUID | None, Meta(examples=[57, _ID])] = None


class MarkedSeen(msgspec.Struct, frozen=True):
    """The response after the user has seen notifications: the watermark and the totals of the inbox."""

    message: Text
    seen_seq: SeenSeq
    unread_count: Unread
    unseen_count: Unseen


class MarkedRead(msgspec.Struct, frozen=True):
    """The response after the notifications of an inbox were marked as read."""

    message: Text
    marked: Annotated[
        int, Meta(description="The number of notifications that were unread, and are now marked as read.", examples=[2])
    ]
    unread_count: Unread
    unseen_count: Unseen


class Archived(msgspec.Struct, frozen=True):
    """The response after one notification was archived."""

    message: Text
    unread_count: Unread
    unseen_count: Unseen


class Cleared(msgspec.Struct, frozen=True):
    """The response after the notifications of an inbox were archived."""

    message: Text
    archived: Annotated[int, Meta(description="The number of notifications that were archived.", examples=[12])]
    unread_count: Unread
    unseen_count: Unseen
