"""Declares which columns of a row hold the fields of a struct (Notification, Broadcast, Head, Counter)."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from adapters.sql.batch_rows import Counter
from adapters.sql.row_mapping import RowMapping
from adapters.sql.state_columns import STATE
from domain.notifications import Notification
from domain.positions import Head
from domain.streams import Content, Entry, feed_stream


class Broadcast(msgspec.Struct, frozen=True, gc=False):
    """A row of the table `broadcasts`."""

    id: UUID
    feed: str
    seq: int
    stored_at: datetime
    content: Content

    def entry(self) -> Entry:
        return Entry(feed_stream(self.feed), self.seq, self.seq, self.id, self.content, self.stored_at)


def _content(type_: str, **texts: str) -> RowMapping[Content]:
    """Returns the mapping of the struct Content to columns. `type_` is the column of the field `type`: it has different
    names in `notifications` and `broadcasts`. `texts` are the columns of the fields `title`, `message` and `url`,
    which `broadcasts` does not have.

    The column `data` is not read: it repeats `body` as JSON, for people who query the table.
    """
    return RowMapping(
        Content,
        origin="origin",
        event_id="event_id",
        source="source",
        type=type_,
        profile="profile",
        envelope="envelope",
        body="body",
        time="event_time",
        event_type="event_type",
        **texts,
    )


NOTIFICATION: Final = RowMapping(
    Notification,
    id="id",
    user="user_id",
    seq="seq",
    changed="changed",
    stored_at="created_at",
    updated_at="updated_at",
    content=_content("notification_type", title="title", message="message", url="url"),
    state=STATE,
)
BROADCAST: Final = RowMapping(
    Broadcast, id="id", feed="feed", seq="seq", stored_at="created_at", content=_content("type")
)
INBOX_HEAD: Final = RowMapping(
    Head,
    last="last_seq",
    pruned="pruned_seq",
    not_before="not_before",
    unread="unread_count",
    seen_seq="seen_seq",
    seen_changed="seen_changed",
    seen_unread="seen_unread",
)
FEED_HEAD: Final = RowMapping(Head, last="last_seq", pruned="pruned_seq")

# The counters that a recording locks.
INBOX_COUNTER: Final = RowMapping(
    Counter,
    name="user_id",
    last="last_seq",
    pruned="pruned_seq",
    qualified="qualified_seq",
    unread="unread_count",
    not_before="not_before",
    seen_unread="seen_unread",
)
FEED_COUNTER: Final = RowMapping(Counter, name="name", last="last_seq", pruned="pruned_seq", qualified="qualified_seq")
