"""What is asked of the tables, each question one statement, so that its answer is of one moment."""

from typing import Any, Final, cast

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import CompoundSelect

from adapters.sql.tables import BroadcastRow, DeadLetterRow, FeedRow, InboxRow, NotificationRow, PreferencesRow

inboxes = cast(Table, InboxRow.__table__)
feeds = cast(Table, FeedRow.__table__)
notifications = cast(Table, NotificationRow.__table__)
broadcasts = cast(Table, BroadcastRow.__table__)
preferences = cast(Table, PreferencesRow.__table__)
letters = cast(Table, DeadLetterRow.__table__)

COUNTERS: Final = ("last_seq", "pruned_seq", "not_before", "unread_count")

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
        arrivals = _arrivals(notifications, notifications.c.user_id)
        self.arrivals = _page(inboxes, inboxes.c.user_id, arrivals, ("seq",))
        self.changes = _page(inboxes, inboxes.c.user_id, _changes(), ("changed", "seq"))
        self.broadcasts = _page(feeds, feeds.c.name, _arrivals(broadcasts, broadcasts.c.feed), ("seq",))
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


def _page(heads: Table, owner: ColumnElement[str], rows: FromClause, order: tuple[str, ...]) -> Select[Any]:
    """The counters of one stream, and beside them, where there are any, some of its rows."""
    counters = [column for column in heads.columns if column.name in COUNTERS]
    return (
        select(*(column.label(f"head_{column.name}") for column in counters), rows)
        .select_from(heads.outerjoin(rows, true()))
        .where(owner == _OWNER)
        .order_by(*(rows.c[name] for name in order))
    )


def _arrivals(rows: Table, owner: ColumnElement[str]) -> FromClause:
    return select(rows).where(owner == _OWNER, rows.c.seq > _AFTER).order_by(rows.c.seq).limit(_LIMIT).subquery()


def _changes() -> FromClause:
    """Whole positions only: up to that of the last row that the limit leaves."""
    mine = notifications.c.user_id == _OWNER
    changed = notifications.c.changed
    within = select(changed).where(mine, changed > _AFTER).order_by(changed).limit(_LIMIT).subquery()
    last = select(func.max(within.c.changed)).scalar_subquery()
    return select(notifications).where(mine, changed > _AFTER, changed <= last).subquery()
