"""What is asked of the tables, each question one statement, so that its answer is of one moment."""

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

from adapters.sql.tables import (
    AttemptRow,
    BroadcastRow,
    DeadLetterRow,
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
attempts = cast(Table, AttemptRow.__table__)

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

# Beyond any position: the largest bigint.
_BEYOND: Final = 2**63 - 1


class PageRequest(NamedTuple):
    """A part of an inbox or a feed: what follows a position, so much of it."""

    owner: str
    after: int
    limit: int


class _Asked(NamedTuple):
    """The page requests of a statement: columns of `table`, or parameters where there is only one request."""

    number: ColumnElement[int]
    owner: ColumnElement[str]
    after: ColumnElement[int]
    limit: ColumnElement[int]
    table: TableValuedAlias | None


class Queries:
    """The statements that are asked often, built once for one kind of database. Parameters: `users` and `names` as
    `many` makes them; pages take those of `page_parameters`."""

    def __init__(self, is_postgresql: bool) -> None:
        self._is_postgresql = is_postgresql
        self.heads_of_inboxes = _heads_of_inboxes().where(self.among(inboxes.c.user_id, "users"))
        self.heads_of_feeds = _heads_of_feeds().where(self.among(feeds.c.name, "names"))
        self.heads: CompoundSelect[Any] = union_all(self.heads_of_inboxes, self.heads_of_feeds)
        # Whole notifications, and the counters of an inbox or a feed.
        self.notification = [self._plain(notifications.c[name]) for name in _NOTIFICATION]
        self.inbox = [self._plain(inboxes.c[name]) for name in ("last_seq", "pruned_seq", "not_before", "unread_count")]
        asked = _many_asked() if is_postgresql else _one_asked()
        arrivals = _arrivals(asked, self.notification, notifications.c.user_id, notifications.c.seq)
        changes = _changes(asked, self.notification)
        self.arrivals = _pages(asked, inboxes.c.user_id, self.inbox, arrivals, ("seq",))
        self.changes = _pages(asked, inboxes.c.user_id, self.inbox, changes, ("changed", "seq"))
        broadcast = [self._plain(broadcasts.c[name]) for name in _BROADCAST]
        arrivals = _arrivals(asked, broadcast, broadcasts.c.feed, broadcasts.c.seq)
        self.broadcasts = _pages(asked, feeds.c.name, [feeds.c.last_seq, feeds.c.pruned_seq], arrivals, ("seq",))
        self.lock_inboxes = (
            select(
                inboxes.c.user_id,
                inboxes.c.last_seq,
                inboxes.c.pruned_seq,
                inboxes.c.qualified_seq,
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
        self.mail_preferences = select(
            preferences.c.user_id, preferences.c.email_notifications, preferences.c.muted_types
        ).where(self.among(preferences.c.user_id, "users"))
        self.lock_feeds = (
            select(feeds.c.name, feeds.c.last_seq, feeds.c.pruned_seq, feeds.c.qualified_seq)
            .where(self.among(feeds.c.name, "names"))
            .order_by(feeds.c.name)
            .with_for_update()
        )

    def among(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Whether the column's value is one of a parameter's many."""
        if self._is_postgresql:
            return column == any_(bindparam(name, type_=ARRAY(Text)))
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))

    @property
    def reads_many_pages(self) -> bool:
        """Whether a statement reads several pages; else `page_parameters` takes one. SQLite knows no LATERAL."""
        return self._is_postgresql

    def page_parameters(self, some: Sequence[PageRequest]) -> dict[str, Any]:
        """The parameters of a statement that reads these; their numbers are 1, 2, 3 …"""
        if not self._is_postgresql:
            (one,) = some
            return one._asdict()
        owners, afters, limits = zip(*some, strict=True)
        return {"owners": owners, "afters": afters, "limits": limits}

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


def _one_asked() -> _Asked:
    return _Asked(
        literal(1),
        bindparam("owner", type_=Text),
        bindparam("after", type_=BigInteger),
        bindparam("limit", type_=BigInteger),
        None,
    )


def _many_asked() -> _Asked:
    asked = func.unnest(
        bindparam("owners", type_=ARRAY(Text)),
        bindparam("afters", type_=ARRAY(BigInteger)),
        bindparam("limits", type_=ARRAY(BigInteger)),
    ).table_valued(
        column("owner", Text), column("after", BigInteger), column("limit", BigInteger), with_ordinality="number"
    )
    asked = asked.render_derived(name="asked")
    return _Asked(asked.c.number, asked.c.owner, asked.c.after, asked.c.limit, asked)


def _pages(
    asked: _Asked,
    owner: Column[str],
    counters: Sequence[ColumnElement[Any]],
    rows: Select[Any],
    order: tuple[str, ...],
) -> Select[Any]:
    """For each request the counters of its stream, whose owner is the first of them, and beside them, where there are
    any, some of its rows."""
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
    asked: _Asked, columns: list[ColumnElement[Any]], owner: ColumnElement[str], seq: ColumnElement[int]
) -> Select[Any]:
    mine = select(*columns).where(owner == asked.owner, seq > asked.after)
    return mine.order_by(seq).limit(asked.limit)


def _changes(asked: _Asked, columns: list[ColumnElement[Any]]) -> Select[Any]:
    """Whole positions only: up to that of the last row that the limit leaves."""
    changed = notifications.c.changed
    mine = (notifications.c.user_id == asked.owner, changed > asked.after)
    last = select(changed).where(*mine).order_by(changed).limit(1).offset(asked.limit - 1)
    last = last.correlate(asked.table)  # with nothing, where there is no such table
    return select(*columns).where(*mine, changed <= func.coalesce(last.scalar_subquery(), _BEYOND))
