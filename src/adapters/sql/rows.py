"""From rows to what they mean."""

from typing import Any

from sqlalchemy import Row

from domain.notifications import Notification
from domain.positions import Head
from domain.streams import Content, Entry, feed


def notification(row: Row[Any]) -> Notification:
    return Notification(
        id=row.id,
        user=row.user_id,
        seq=row.seq,
        changed=row.changed,
        content=_content(row, row.notification_type, row.title, row.message),
        stored_at=row.created_at,
        updated_at=row.updated_at,
        read_at=row.read_at,
        archived=row.is_archived,
        muted=row.is_muted,
    )


def broadcast(row: Row[Any]) -> Entry:
    return Entry(feed(row.feed), row.seq, row.seq, row.id, _content(row, row.type, None, None), row.created_at)


def head(row: Row[Any]) -> Head:
    """Of a stream's counters; an inbox's has two more than a feed's."""
    return Head(
        row.head_last_seq,
        row.head_pruned_seq,
        getattr(row, "head_not_before", None),
        getattr(row, "head_unread_count", 0),
    )


def _content(row: Row[Any], type_: str, title: str | None, message: str | None) -> Content:
    return Content(
        origin=row.origin,
        event_id=row.event_id,
        source=row.source,
        type=type_,
        profile=row.profile,
        envelope=row.envelope,
        body=row.body,
        time=row.event_time,
        event_type=row.event_type,
        title=title,
        message=message,
    )
