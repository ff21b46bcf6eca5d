"""Inboxes as their owners handle them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Row, Select, Text, TextClause, bindparam, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql import row_mapping as rows
from adapters.sql.database import Database
from adapters.sql.queries import Queries, inboxes, notifications, preferences
from adapters.sql.statements import statement
from application.ports.inboxes import InboxPage, Marked, MutedUnread
from domain.notifications import Mark, Notification, NotificationFilter
from domain.positions import Head
from domain.streams import Content, Entry, inbox_of

_MINE: Final = notifications.c.user_id == bindparam("user")
_KEPT: Final = (~notifications.c.is_archived,)
_UNREAD: Final = (~notifications.c.is_read, *_KEPT)
# What sessions are told of a notification that was marked together with many others: not its text again.
_LIGHT: Final = tuple(
    notifications.c[name]
    for name in (
        "user_id",
        "id",
        "seq",
        "is_read",
        "is_muted",
        "origin",
        "event_id",
        "source",
        "notification_type",
        "profile",
        "envelope",
        "event_time",
        "created_at",
    )
)
_UNREAD_TOTAL: Final = select(inboxes.c.unread_count).where(inboxes.c.user_id == bindparam("user"))
_UNREAD_BY_TYPE: Final = (
    select(notifications.c.notification_type, func.count())
    .where(_MINE, *_UNREAD)
    .group_by(notifications.c.notification_type)
)


_MUTED_TYPES: Final = select(preferences.c.muted_types).where(preferences.c.user_id == bindparam("user"))


def _find_muted_unread(is_muted: str) -> TextClause:
    return statement(
        f"""
        SELECT p.user_id, EXISTS (
            SELECT 1 FROM notifications n
            WHERE n.user_id = p.user_id AND NOT n.is_read AND NOT n.is_archived AND n.changed = n.seq AND {is_muted}
        )
        FROM (
            SELECT user_id, muted_types FROM notification_preferences
            WHERE user_id > :after AND muted_types <> '[]' ORDER BY user_id LIMIT :limit
        ) p
        ORDER BY p.user_id
        """,  # noqa: S608 - our own names
        after=Text(),
        limit=BigInteger(),
    )


# By whether it is PostgreSQL. Both find unread ones by the index over these alone.
_FIND_MUTED_UNREAD: Final = {
    True: _find_muted_unread("p.muted_types ? n.notification_type"),
    False: _find_muted_unread("n.notification_type IN (SELECT value FROM json_each(p.muted_types))"),
}


class SqlInboxes:
    """Implements Inboxes. Every mark locks the inbox's counters first, as every recording does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        queries = Queries(database.is_postgresql)
        self._columns = queries.notification
        self._counters = select(*queries.inbox).where(inboxes.c.user_id == bindparam("user"))
        self._lock = self._counters.with_for_update()
        self._get = select(*queries.notification).where(_MINE, notifications.c.id == bindparam("id"))

    async def get(self, user: str, id: UUID) -> Notification | None:
        return await self._database.read(lambda connection: self._one(connection, user, id))

    async def some(self, user: str, ids: Collection[UUID]) -> dict[UUID, Notification]:
        if not ids:
            return {}
        statement = select(*self._columns).where(_MINE, notifications.c.id.in_(ids))
        return {row[0]: rows.notification(row) for row in await self._database.fetch(statement, {"user": user})}

    async def page(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> InboxPage:
        # One more than asked for tells whether older ones follow; beside the counters, so that both are of one moment.
        chosen = _matching(select(*self._columns), user, filter).order_by(notifications.c.seq.desc()).limit(limit + 1)
        if before is not None:
            chosen = chosen.where(notifications.c.seq < before)
        kept = (chosen.offset(skip) if skip else chosen).subquery()
        counters = self._counters.subquery()
        statement = (
            select(*counters.c, *kept.c).select_from(counters.outerjoin(kept, true())).order_by(kept.c.seq.desc())
        )
        found = await self._database.fetch(statement, {"user": user})
        head = rows.head(found[0][:4]) if found else Head()
        notes = tuple(rows.notification(row[4:]) for row in found if row[4] is not None)
        return InboxPage(notes[:limit], head, more=len(notes) > limit)

    async def count(self, user: str, filter: NotificationFilter) -> int:
        statement = _matching(select(func.count()).select_from(notifications), user, filter)
        return await self._number(statement, user)

    async def unread(self, user: str) -> int:
        return await self._number(_UNREAD_TOTAL, user)

    async def unread_by_type(self, user: str) -> dict[str, int]:
        return {row[0]: row[1] for row in await self._database.fetch(_UNREAD_BY_TYPE, {"user": user})}

    async def mark(self, user: str, id: UUID, mark: Mark, now: datetime) -> Marked | None:
        async def store(connection: AsyncConnection) -> Marked | None:
            head = await self._locked(connection, user)
            note = await self._one(connection, user, id) if head else None
            if head is None or note is None:
                return None
            position = head.last + 1
            marked = note.marked(mark, position, now)
            if marked is None:
                return Marked((), head.unread, note)
            unread = head.unread + marked.unread - note.unread
            await _move(connection, user, position, unread)
            statement = update(notifications).where(_MINE, notifications.c.id == bindparam("one"))
            await connection.execute(statement.values(**_marked(mark, position, now)), {"user": user, "one": id})
            return Marked((marked.entry(unread, mark),), unread, marked)

        return await self._database.write(store)

    async def mark_all(
        self, user: str, mark: Literal["read", "archived"], upto: int, limit: int, now: datetime
    ) -> Marked:
        unmarked = _UNREAD if mark == "read" else _KEPT

        async def store(connection: AsyncConnection) -> Marked:
            head = await self._locked(connection, user)
            if head is None:
                return Marked((), 0)
            return await _mark_newest(
                connection, user, head, mark, (*unmarked, notifications.c.seq <= upto), limit, now
            )

        return await self._database.write(store)

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        parameters = {"after": after or "", "limit": limit}
        found = await self._database.fetch(_FIND_MUTED_UNREAD[self._database.is_postgresql], parameters)
        users = tuple(user for user, has_unread in found if has_unread)
        return MutedUnread(users, found[-1][0] if len(found) == limit else None)

    async def read_muted(self, user: str, limit: int, now: datetime) -> Marked:
        async def store(connection: AsyncConnection) -> Marked:
            head = await self._locked(connection, user)
            muted = await connection.scalar(_MUTED_TYPES, {"user": user})
            if head is None or not muted:
                return Marked((), head.unread if head is not None else 0)
            column = notifications.c
            which = (*_UNREAD, column.changed == column.seq, column.notification_type.in_(muted))
            return await _mark_newest(connection, user, head, "read", which, limit, now)

        return await self._database.write(store)

    async def _locked(self, connection: AsyncConnection, user: str) -> Head | None:
        row = (await connection.execute(self._lock, {"user": user})).one_or_none()
        return rows.head(row) if row is not None else None

    async def _one(self, connection: AsyncConnection, user: str, id: UUID) -> Notification | None:
        row = (await connection.execute(self._get, {"user": user, "id": id})).one_or_none()
        return rows.notification(row) if row is not None else None

    async def _number(self, statement: Select[Any], user: str) -> int:
        return await self._database.read(lambda connection: connection.scalar(statement, {"user": user})) or 0


def _matching(statement: Select[Any], user: str, filter: NotificationFilter) -> Select[Any]:
    column = notifications.c
    conditions: list[ColumnElement[bool]] = [column.user_id == user]
    if filter.type is not None:
        conditions.append(column.notification_type == filter.type)
    if filter.read is not None:
        conditions.append(column.is_read if filter.read else ~column.is_read)
    if filter.archived is not None:
        conditions.append(column.is_archived if filter.archived else ~column.is_archived)
    if filter.start is not None:
        conditions.append(column.created_at >= filter.start)
    if filter.end is not None:
        conditions.append(column.created_at <= filter.end)
    return statement.where(*conditions)


async def _mark_newest(
    connection: AsyncConnection,
    user: str,
    head: Head,
    mark: Mark,
    which: Sequence[ColumnElement[bool]],
    limit: int,
    now: datetime,
) -> Marked:
    """Marks the newest `limit` of these, which must not be so marked, at one position. The inbox is locked."""
    seq = notifications.c.seq
    chosen = select(seq).where(_MINE, *which).order_by(seq.desc()).limit(limit)
    position = head.last + 1
    statement = (
        update(notifications).where(_MINE, seq.in_(chosen)).values(**_marked(mark, position, now)).returning(*_LIGHT)
    )
    found = (await connection.execute(statement, {"user": user})).all()
    if not found:
        return Marked((), head.unread)
    unread = head.unread - sum(1 for row in found if mark == "read" or not row.is_read)
    await _move(connection, user, position, unread)
    entries = (_light_entry(row, mark, position, unread) for row in found)
    return Marked(tuple(sorted(entries, key=lambda entry: -entry.seq)), unread)


async def _move(connection: AsyncConnection, user: str, position: int, unread: int) -> None:
    statement = update(inboxes).where(inboxes.c.user_id == user).values(last_seq=position, unread_count=unread)
    await connection.execute(statement)


def _marked(mark: Mark, position: int, now: datetime) -> dict[str, Any]:
    what: dict[Mark, dict[str, Any]] = {
        "read": {"is_read": True, "read_at": now},
        "unread": {"is_read": False, "read_at": None},
        "archived": {"is_archived": True},
    }
    return {**what[mark], "changed": position, "updated_at": now}


def _light_entry(row: Row[Any], mark: Mark, position: int, unread: int) -> Entry:
    user, id_, seq, read, muted, origin, event_id, source, type_, profile, envelope, time, stored_at = row
    content = Content(origin, event_id, source, type_, profile, envelope, "", time)
    return Entry(inbox_of(user), seq, position, id_, content, stored_at, mark, read, muted, unread)
