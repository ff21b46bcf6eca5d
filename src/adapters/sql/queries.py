"""The SELECT statements that are used most. Each reads everything it needs in one statement, so its result is a
consistent snapshot."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec
from advanced_alchemy.types import GUID
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Table,
    TableValuedAlias,
    Text,
    TypeDecorator,
    Uuid,
    any_,
    bindparam,
    column,
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

from adapters.sql.row_mapping import RowMapping
from adapters.sql.seen_columns import IS_OUTDATED, SEEN_UNREAD
from adapters.sql.stream_row_mappings import BROADCAST, FEED_COUNTER, FEED_HEAD, INBOX_COUNTER, INBOX_HEAD, NOTIFICATION
from adapters.sql.tables import (
    AttemptRow,
    BroadcastRow,
    DeadLetterRow,
    DeliveryItemRow,
    DeliveryRow,
    FeedRow,
    InboxRow,
    NotificationRow,
    PreferencesRow,
)

inboxes = cast(Table, InboxRow.__table__)
feeds = cast(Table, FeedRow.__table__)
notifications = cast(Table, NotificationRow.__table__)
broadcasts = cast(Table, BroadcastRow.__table__)
preferences = cast(Table, PreferencesRow.__table__)
letters = cast(Table, DeadLetterRow.__table__)
deliveries = cast(Table, DeliveryRow.__table__)
delivery_items = cast(Table, DeliveryItemRow.__table__)
attempts = cast(Table, AttemptRow.__table__)

# The preferences that matter for deliveries.
DELIVERY_PREFERENCES: Final = [
    preferences.c[name] for name in ("user_id", "email_notifications", "push_notifications", "muted_types")
]

# The largest bigint, greater than any position.
_BEYOND: Final = 2**63 - 1


class PageRequest(NamedTuple):
    """A request for a page of a stream: about `limit` entries after position `after`. `owner` is the user of the inbox,
    or the name of the feed."""

    owner: str
    after: int
    limit: int


class _RequestColumns(NamedTuple):
    """The SQL expressions for the fields of a PageRequest, from which the statements for pages are built. `number` is
    the number of the request, counted from 1.

    On PostgreSQL, the expressions are columns of `table`, which has a row for each request. On SQLite, they are
    parameters of a statement for a single request, and `table` is None.
    """

    number: ColumnElement[int]
    owner: ColumnElement[str]
    after: ColumnElement[int]
    limit: ColumnElement[int]
    table: TableValuedAlias | None


class Queries:
    """The SELECT statements that are used most, built once for PostgreSQL or for SQLite.

    Their parameters `users` and `names` are lists, made by `list_parameter`. The statements for pages (`arrivals`,
    `changes`, `broadcasts`) get their parameters from `page_parameters`.
    """

    def __init__(self, is_postgresql: bool) -> None:
        self._is_postgresql = is_postgresql
        self.heads_of_inboxes = _heads_of_inboxes().where(self.is_in_list(inboxes.c.user_id, "users"))
        self.heads_of_feeds = _heads_of_feeds().where(self.is_in_list(feeds.c.name, "names"))
        self.heads: CompoundSelect[Any] = union_all(self.heads_of_inboxes, self.heads_of_feeds)
        self.notification = self.columns(notifications, NOTIFICATION)
        # The second one is for statements that lock the row: there, `seen_unread` may be wrong (see seen_columns).
        self.inbox_head = [_inbox_head_column(column) for column in self.columns(inboxes, INBOX_HEAD)]
        self.locked_inbox_head = [*self.columns(inboxes, INBOX_HEAD), IS_OUTDATED.label("is_outdated")]
        asked = _many_requests() if is_postgresql else _one_request()
        arrivals = _arrivals(asked, self.notification, notifications.c.user_id, notifications.c.seq)
        changes = _changes(asked, self.notification)
        self.arrivals = _pages(asked, inboxes.c.user_id, self.inbox_head, arrivals, ("seq",))
        self.changes = _pages(asked, inboxes.c.user_id, self.inbox_head, changes, ("changed", "seq"))
        broadcast = self.columns(broadcasts, BROADCAST)
        arrivals = _arrivals(asked, broadcast, broadcasts.c.feed, broadcasts.c.seq)
        self.broadcasts = _pages(asked, feeds.c.name, self.columns(feeds, FEED_HEAD), arrivals, ("seq",))
        self.lock_inboxes = (
            select(
                *(inboxes.c[name] for name in INBOX_COUNTER.columns),
                IS_OUTDATED.label("is_outdated"),
                preferences.c.websocket_notifications,
                preferences.c.muted_types,
            )
            .select_from(inboxes.outerjoin(preferences, preferences.c.user_id == inboxes.c.user_id))
            .where(self.is_in_list(inboxes.c.user_id, "users"))
            .order_by(inboxes.c.user_id)
            .with_for_update(of=inboxes)
        )
        self.delivery_preferences = select(*DELIVERY_PREFERENCES).where(self.is_in_list(preferences.c.user_id, "users"))
        self.lock_feeds = (
            select(*(feeds.c[name] for name in FEED_COUNTER.columns))
            .where(self.is_in_list(feeds.c.name, "names"))
            .order_by(feeds.c.name)
            .with_for_update()
        )

    def is_in_list(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Returns the SQL condition that the value of `column` is in the list that is passed as parameter `name` (see
        `list_parameter`)."""
        if self._is_postgresql:
            return column == any_(bindparam(name, type_=ARRAY(Text)))
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))

    @property
    def reads_many_pages(self) -> bool:
        """Whether a statement for pages can answer several requests. True on PostgreSQL. False on SQLite, which has no
        LATERAL: there, `page_parameters` accepts exactly one request."""
        return self._is_postgresql

    def page_parameters(self, some: Sequence[PageRequest]) -> dict[str, Any]:
        """Returns the parameters with which a statement for pages answers these requests. The first column of its rows
        is the number of the request, counted from 1."""
        if not self._is_postgresql:
            (one,) = some
            return one._asdict()
        owners, afters, limits = zip(*some, strict=True)
        return {"owners": owners, "afters": afters, "limits": limits}

    def columns(self, table: Table, mapping: RowMapping[Any]) -> list[ColumnElement[Any]]:
        """Returns the columns of the table that `mapping` reads, in its order."""
        return [self._unconverted(table.c[name]) for name in mapping.columns]

    def _unconverted(self, column: Column[Any]) -> ColumnElement[Any]:
        """Returns the column without SQLAlchemy's conversion of UUIDs and times on PostgreSQL, where asyncpg returns
        the right types already. On SQLite, returns the column unchanged."""
        if not self._is_postgresql or not isinstance(column.type, TypeDecorator):
            return column
        plain: TypeEngine[Any] = Uuid() if isinstance(column.type, GUID) else DateTime(timezone=True)
        return type_coerce(column, plain).label(column.name)

    def list_parameter(self, values: list[str]) -> list[str] | str:
        """Converts a list to one parameter for `is_in_list`: an array on PostgreSQL, JSON text on SQLite. So the text
        of the statement is the same for lists of any length."""
        return values if self._is_postgresql else msgspec.json.encode(values).decode()


def _inbox_head_column(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Returns the expression from which the column of `inboxes` is read: the column itself, or SEEN_UNREAD."""
    return SEEN_UNREAD if column.name == SEEN_UNREAD.name else column


def _heads_of_inboxes() -> Select[Any]:
    columns = (_inbox_head_column(inboxes.c[name]) for name in INBOX_HEAD.columns)
    return select(literal("inbox:").concat(inboxes.c.user_id).label("stream"), *columns)


def _heads_of_feeds() -> Select[Any]:
    """Returns the statement for the heads of feeds. It has the same columns as the one for inboxes, so that a UNION
    reads both."""
    columns: dict[str, ColumnElement[Any]] = {
        "last_seq": feeds.c.last_seq,
        "pruned_seq": feeds.c.pruned_seq,
        "not_before": null().cast(inboxes.c.not_before.type).label("not_before"),
    }
    without_inbox = (columns.get(name, literal(0).label(name)) for name in INBOX_HEAD.columns)
    return select(literal("feed:").concat(feeds.c.name).label("stream"), *without_inbox)


def _one_request() -> _RequestColumns:
    return _RequestColumns(
        literal(1),
        bindparam("owner", type_=Text),
        bindparam("after", type_=BigInteger),
        bindparam("limit", type_=BigInteger),
        None,
    )


def _many_requests() -> _RequestColumns:
    asked = func.unnest(
        bindparam("owners", type_=ARRAY(Text)),
        bindparam("afters", type_=ARRAY(BigInteger)),
        bindparam("limits", type_=ARRAY(BigInteger)),
    ).table_valued(
        column("owner", Text), column("after", BigInteger), column("limit", BigInteger), with_ordinality="number"
    )
    asked = asked.render_derived(name="asked")
    return _RequestColumns(asked.c.number, asked.c.owner, asked.c.after, asked.c.limit, asked)


def _pages(
    asked: _RequestColumns,
    owner: Column[str],
    counters: Sequence[ColumnElement[Any]],
    rows: Select[Any],
    order: tuple[str, ...],
) -> Select[Any]:
    """Returns a statement that answers page requests. Each row has the number of the request, the columns of the
    stream's head, and one entry of the page. For an empty page there is one row, whose entry columns are null; for a
    stream that does not exist, there is no row. `owner` is the column of `inboxes` or `feeds` that identifies the
    stream."""
    part: FromClause
    if asked.table is None:
        part = rows.subquery()
        pages = select(*part.c).select_from(owner.table.outerjoin(part, true())).where(owner == asked.owner)
    else:
        part = rows.lateral()
        pages = select(*part.c).select_from(asked.table.join(owner.table, owner == asked.owner).outerjoin(part, true()))
    pages = pages.with_only_columns(asked.number, *counters, *part.c)
    return pages.order_by(asked.number, *(part.c[name] for name in order))


def _arrivals(
    asked: _RequestColumns, columns: list[ColumnElement[Any]], owner: ColumnElement[str], seq: ColumnElement[int]
) -> Select[Any]:
    mine = select(*columns).where(owner == asked.owner, seq > asked.after)
    return mine.order_by(seq).limit(asked.limit)


def _changes(asked: _RequestColumns, columns: list[ColumnElement[Any]]) -> Select[Any]:
    """Returns the statement for the notifications whose `changed` is greater than the requested position. It returns
    more rows than the limit if the last position has several: all notifications that changed at one position are on one
    page."""
    changed = notifications.c.changed
    mine = (notifications.c.user_id == asked.owner, changed > asked.after)
    last = select(changed).where(*mine).order_by(changed).limit(1).offset(asked.limit - 1)
    last = last.correlate(asked.table)  # None if the request is in parameters: then there is no correlation
    return select(*columns).where(*mine, changed <= func.coalesce(last.scalar_subquery(), _BEYOND))
