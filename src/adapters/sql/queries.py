"""What is asked of the tables, each question one statement, so that its answer is of one moment."""

from typing import Any, Final, cast

import msgspec
from advanced_alchemy.types import GUID
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Select,
    Subquery,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    any_,
    bindparam,
    func,
    literal,
    null,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import CompoundSelect
from sqlalchemy.types import TypeEngine

from adapters.sql.tables import BroadcastRow, DeadLetterRow, FeedRow, InboxRow, NotificationRow, PreferencesRow

inboxes = cast(Table, InboxRow.__table__)
feeds = cast(Table, FeedRow.__table__)
notifications = cast(Table, NotificationRow.__table__)
broadcasts = cast(Table, BroadcastRow.__table__)
preferences = cast(Table, PreferencesRow.__table__)
letters = cast(Table, DeadLetterRow.__table__)

# In the order in which `rows` takes them. `data` is for people: what is pushed is `body`.
_NOTIFICATION: Final = (
    *("id", "user_id", "seq", "changed", "created_at", "updated_at", "read_at", "is_archived", "is_muted"),
    *("origin", "event_id", "source", "notification_type", "profile", "envelope", "body", "event_time", "event_type"),
    *("title", "message"),
)
_BROADCAST: Final = (
    *("id", "feed", "seq", "created_at"),
    *("origin", "event_id", "source", "type", "profile", "envelope", "body", "event_time", "event_type"),
)

_OWNER: Final = bindparam("owner", type_=Text)
_AFTER: Final = bindparam("after", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=BigInteger)


class Queries:
    """The statements that are asked often, built once for one kind of database. Parameters: `users` and `names` as
    `many` makes them, `owner`, `after`, `limit`."""

    def __init__(self, is_postgresql: bool) -> None:
        self._is_postgresql = is_postgresql
        self.heads_of_inboxes = _heads_of_inboxes().where(self.among(inboxes.c.user_id, "users"))
        self.heads_of_feeds = _heads_of_feeds().where(self.among(feeds.c.name, "names"))
        self.heads: CompoundSelect[Any] = union_all(self.heads_of_inboxes, self.heads_of_feeds)
        # Whole notifications, and the counters of an inbox or a feed.
        self.notification = [self._plain(notifications.c[name]) for name in _NOTIFICATION]
        self.inbox = [self._plain(inboxes.c[name]) for name in ("last_seq", "pruned_seq", "not_before", "unread_count")]
        arrivals = _arrivals(self.notification, notifications.c.user_id, notifications.c.seq)
        self.arrivals = _page(self.inbox, inboxes.c.user_id, arrivals, ("seq",))
        self.changes = _page(self.inbox, inboxes.c.user_id, _changes(self.notification), ("changed", "seq"))
        broadcast = [self._plain(broadcasts.c[name]) for name in _BROADCAST]
        arrivals = _arrivals(broadcast, broadcasts.c.feed, broadcasts.c.seq)
        self.broadcasts = _page([feeds.c.last_seq, feeds.c.pruned_seq], feeds.c.name, arrivals, ("seq",))
        self.lock_inboxes = (
            select(
                inboxes.c.user_id,
                inboxes.c.last_seq,
                inboxes.c.unread_count,
                inboxes.c.not_before,
                preferences.c.websocket_notifications,
                preferences.c.muted_types,
            )
            .select_from(inboxes.outerjoin(preferences, preferences.c.user_id == inboxes.c.user_id))
            .where(self.among(inboxes.c.user_id, "users"))
            .order_by(inboxes.c.user_id)
            .with_for_update(of=inboxes)
        )
        self.lock_feeds = (
            select(feeds.c.name, feeds.c.last_seq)
            .where(self.among(feeds.c.name, "names"))
            .order_by(feeds.c.name)
            .with_for_update()
        )

    def among(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Whether the column's value is one of a parameter's many."""
        if self._is_postgresql:
            return column == any_(bindparam(name, type_=ARRAY(Text)))
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))

    def _plain(self, column: Column[Any]) -> ColumnElement[Any]:
        """The column as asyncpg gives it, which is what is wanted; SQLite's values need to be made into it."""
        if not self._is_postgresql or not isinstance(column.type, TypeDecorator):
            return column
        plain: TypeEngine[Any] = Uuid() if isinstance(column.type, GUID) else DateTime(timezone=True)
        return type_coerce(column, plain).label(column.name)

    def many(self, values: list[str]) -> list[str] | str:
        """The values as one parameter: statements stay the same for any number of them."""
        return values if self._is_postgresql else msgspec.json.encode(values).decode()


def _heads_of_inboxes() -> Select[Any]:
    return select(
        literal("inbox:").concat(inboxes.c.user_id).label("stream"),
        inboxes.c.last_seq,
        inboxes.c.pruned_seq,
        inboxes.c.not_before,
        inboxes.c.unread_count,
    )


def _heads_of_feeds() -> Select[Any]:
    return select(
        literal("feed:").concat(feeds.c.name).label("stream"),
        feeds.c.last_seq,
        feeds.c.pruned_seq,
        null().cast(inboxes.c.not_before.type).label("not_before"),
        literal(0).label("unread_count"),
    )


def _page(
    counters: list[ColumnElement[Any]], owner: ColumnElement[str], rows: Subquery, order: tuple[str, ...]
) -> Select[Any]:
    """The counters of one stream, and beside them, where there are any, some of its rows."""
    return (
        select(*counters, *rows.c)
        .select_from(owner.table.outerjoin(rows, true()))
        .where(owner == _OWNER)
        .order_by(*(rows.c[name] for name in order))
    )


def _arrivals(columns: list[ColumnElement[Any]], owner: ColumnElement[str], seq: ColumnElement[int]) -> Subquery:
    return select(*columns).where(owner == _OWNER, seq > _AFTER).order_by(seq).limit(_LIMIT).subquery()


def _changes(columns: list[ColumnElement[Any]]) -> Subquery:
    """Whole positions only: up to that of the last row that the limit leaves."""
    mine = notifications.c.user_id == _OWNER
    changed = notifications.c.changed
    within = select(changed).where(mine, changed > _AFTER).order_by(changed).limit(_LIMIT).subquery()
    last = select(func.max(within.c.changed)).scalar_subquery()
    return select(*columns).where(mine, changed > _AFTER, changed <= last).subquery()
