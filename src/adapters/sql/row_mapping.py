"""From rows to what they mean. Values are taken by their places, which `queries` gives them: by name each would cost
as much again as reading it."""

from collections.abc import Sequence
from typing import Any

from domain.notifications import Notification
from domain.positions import Head
from domain.streams import Content, Entry, feed_stream


def notification(row: Sequence[Any]) -> Notification:
    id_, user, seq, changed, stored_at, updated_at, read_at, archived, muted, *content, title, message = row
    return Notification(
        id_, user, seq, changed, _content(content, title, message), stored_at, updated_at, read_at, archived, muted
    )


def broadcast(row: Sequence[Any]) -> Entry:
    id_, name, seq, stored_at, *content = row
    return Entry(feed_stream(name), seq, seq, id_, _content(content, None, None), stored_at)


def head(row: Sequence[Any]) -> Head:
    """Of a stream's counters: an inbox has four, a feed the first two of them."""
    return Head(*row)


def _content(row: Sequence[Any], title: str | None, message: str | None) -> Content:
    origin, event_id, source, type_, profile, envelope, body, time, event_type = row
    return Content(origin, event_id, source, type_, profile, envelope, body, time, event_type, title, message)
