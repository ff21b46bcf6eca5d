"""Lists a user's notifications, and changes their state (read, unread, archived)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ColumnExpressionArgument,
    Select,
    bindparam,
    exists,
    func,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.queries import Queries, inboxes, notifications, preferences
from adapters.sql.seen_columns import recount
from adapters.sql.state_columns import changed_values, in_state, seen_unread
from adapters.sql.stream_row_mappings import INBOX_HEAD, NOTIFICATION
from application.ports.inboxes import InboxPage, MutedUnread, SeenMoved, StateChanged
from domain.notification_state import TRANSITIONS, UNREAD, StateChange
from domain.notifications import Notification, NotificationFilter, head_after
from domain.positions import Head

_OF_USER: Final = notifications.c.user_id == bindparam("user")
_COUNT: Final = select(func.count()).select_from(notifications)
_NEWEST_UP_TO: Final = select(func.max(notifications.c.seq)).where(
    _OF_USER, notifications.c.seq <= bindparam("upto", type_=BigInteger)
)
_UNREAD: Final = in_state(notifications.c, UNREAD)
_UNREAD_BY_TYPE: Final = (
    select(notifications.c.notification_type.label("type"), func.count().label("total"))
    .where(_OF_USER, *_UNREAD)
    .group_by(notifications.c.notification_type)
)
_MUTED_TYPES: Final = select(preferences.c.muted_types).where(preferences.c.user_id == bindparam("user"))

# Selects notifications whose state has never changed. So a notification that its user has marked unread stays unread,
# even if its type is muted.
_UNCHANGED: Final = notifications.c.changed == notifications.c.seq

# Replacements for columns that need not be read when many notifications change at one position: sessions have received
# these texts already.
_TEXTS: Final = {"body": literal_column("''"), "title": null(), "message": null(), "url": null()}

_read_head: Final = INBOX_HEAD.reader()
_read_notification: Final = NOTIFICATION.reader()
_read_notification_beside_head: Final = NOTIFICATION.reader(len(INBOX_HEAD.columns))


class SqlInboxes:
    """Implements the port Inboxes on the tables `inboxes` and `notifications`. Every change locks the user's row in
    `inboxes` first, as a Recording does, so that positions have no gaps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        queries = Queries(database.is_postgresql)
        self._columns = queries.notification
        self._without_texts = [_TEXTS.get(column.name, column).label(column.name) for column in queries.notification]
        self._counters = select(*queries.inbox_head).where(inboxes.c.user_id == bindparam("user"))
        self._lock = select(*queries.locked_inbox_head).where(inboxes.c.user_id == bindparam("user")).with_for_update()
        self._get = select(*queries.notification).where(_OF_USER, notifications.c.id == bindparam("id"))
        self._find_muted_unread = _find_muted_unread(database.is_postgresql)

    async def get(self, user: str, id: UUID) -> Notification | None:
        return await self._database.read(lambda connection: self._one(connection, user, id))

    async def some(self, user: str, ids: Collection[UUID]) -> dict[UUID, Notification]:
        if not ids:
            return {}
        statement = select(*self._columns).where(_OF_USER, notifications.c.id.in_(ids))
        found = map(_read_notification, await self._database.fetch(statement, {"user": user}))
        return {notification.id: notification for notification in found}

    async def page(
        self, user: str, filter: NotificationFilter, limit: int, *, before: int | None = None, skip: int = 0
    ) -> InboxPage:
        # Reads one row more than the limit, which shows whether there are older notifications. Joins the counters, so
        # that both are from the same snapshot.
        selected = _selected(select(*self._columns), user, filter)
        selected = selected.order_by(notifications.c.seq.desc()).limit(limit + 1)
        if before is not None:
            selected = selected.where(notifications.c.seq < before)
        listed = (selected.offset(skip) if skip else selected).subquery()
        counters = self._counters.subquery()
        statement = (
            select(*counters.c, *listed.c).select_from(counters.outerjoin(listed, true())).order_by(listed.c.seq.desc())
        )
        rows = await self._database.fetch(statement, {"user": user})
        head = _read_head(rows[0]) if rows else Head()
        listed_rows = (row for row in rows if row[len(INBOX_HEAD.columns)] is not None)
        found = tuple(map(_read_notification_beside_head, listed_rows))
        return InboxPage(found[:limit], head, more=len(found) > limit)

    async def count(self, user: str, filter: NotificationFilter) -> int:
        statement = _selected(_COUNT, user, filter)
        return await self._database.read(lambda connection: connection.scalar(statement, {"user": user})) or 0

    async def unread_by_type(self, user: str) -> dict[str, int]:
        return {row.type: row.total for row in await self._database.fetch(_UNREAD_BY_TYPE, {"user": user})}

    async def change(self, user: str, id: UUID, change: StateChange, now: datetime) -> StateChanged | None:
        async def store(connection: AsyncConnection) -> StateChanged | None:
            head = await self._lock_inbox(connection, user)
            before = await self._one(connection, user, id) if head else None
            if head is None or before is None:
                return None
            position = head.last + 1
            after = before.after(change, position, now)
            if after is None:
                return StateChanged((), head, before)
            head = head_after(head, [(before, after)])
            await _write_head(connection, user, head)
            statement = update(notifications).where(_OF_USER, notifications.c.id == bindparam("one"))
            values = changed_values(change, position, now)
            await connection.execute(statement.values(**values), {"user": user, "one": id})
            return StateChanged((after.entry(head, change),), head, after)

        return await self._database.write(store)

    async def change_all(self, user: str, change: StateChange, upto: int, limit: int, now: datetime) -> StateChanged:
        async def store(connection: AsyncConnection) -> StateChanged:
            head = await self._lock_inbox(connection, user)
            if head is None:
                return StateChanged((), Head())
            upto_position = notifications.c.seq <= upto
            return await self._change_newest(connection, user, head, change, (upto_position,), limit, now)

        return await self._database.write(store)

    async def see(self, user: str, upto: int) -> SeenMoved:
        async def store(connection: AsyncConnection) -> SeenMoved:
            head = await self._lock_inbox(connection, user)
            newest = await connection.scalar(_NEWEST_UP_TO, {"user": user, "upto": upto})
            if head is None or newest is None or newest <= head.seen_seq:
                return SeenMoved(False, head or Head())
            newly_seen = (_OF_USER, notifications.c.seq > head.seen_seq, *seen_unread(notifications.c, newest))
            unread = await connection.scalar(_COUNT.where(*newly_seen), {"user": user}) or 0
            position = head.last + 1
            seen_total = head.seen_unread + unread
            head = replace(head, last=position, seen_seq=newest, seen_changed=position, seen_unread=seen_total)
            await _write_head(connection, user, head)
            return SeenMoved(True, head)

        return await self._database.write(store)

    async def find_muted_unread(self, after: str | None, limit: int) -> MutedUnread:
        rows = await self._database.fetch(self._find_muted_unread, {"after": after or "", "limit": limit})
        users = tuple(row.user_id for row in rows if row.has_unread)
        return MutedUnread(users, rows[-1].user_id if len(rows) == limit else None)

    async def mark_muted_read(self, user: str, limit: int, now: datetime) -> StateChanged:
        async def store(connection: AsyncConnection) -> StateChanged:
            head = await self._lock_inbox(connection, user)
            muted = await connection.scalar(_MUTED_TYPES, {"user": user})
            if head is None or not muted:
                return StateChanged((), head or Head())
            conditions = (_UNCHANGED, notifications.c.notification_type.in_(muted))
            return await self._change_newest(connection, user, head, "read", conditions, limit, now)

        return await self._database.write(store)

    async def _change_newest(
        self,
        connection: AsyncConnection,
        user: str,
        head: Head,
        change: StateChange,
        conditions: Sequence[ColumnExpressionArgument[bool]],
        limit: int,
        now: datetime,
    ) -> StateChanged:
        """Applies a state change to at most `limit` notifications of the user, all at one new position: the newest ones
        that match `conditions` and for which the change is not a no-op. `head` must be the result of `_lock_inbox` in
        the same transaction."""
        seq = notifications.c.seq
        conditions = (_OF_USER, *in_state(notifications.c, TRANSITIONS[change].before), *conditions)
        newest = select(*self._without_texts).where(*conditions).order_by(seq.desc()).limit(limit)
        before = [_read_notification(row) for row in await connection.execute(newest, {"user": user})]
        if not before:
            return StateChanged((), head)
        position = head.last + 1
        changed = [(one, after) for one in before if (after := one.after(change, position, now)) is not None]
        head = head_after(head, changed)
        await _write_head(connection, user, head)
        selected = seq.in_(newest.with_only_columns(seq))
        values = changed_values(change, position, now)
        await connection.execute(update(notifications).where(_OF_USER, selected).values(**values), {"user": user})
        return StateChanged(tuple(after.entry(head, change) for _, after in changed), head)

    async def _lock_inbox(self, connection: AsyncConnection, user: str) -> Head | None:
        """Locks the user's row in `inboxes` until the end of the transaction, and returns the head of the inbox; None
        if the user has no inbox."""
        row = (await connection.execute(self._lock, {"user": user})).one_or_none()
        if row is None:
            return None
        head = _read_head(row)
        return replace(head, seen_unread=(await recount(connection, [user]))[user]) if row.is_outdated else head

    async def _one(self, connection: AsyncConnection, user: str, id: UUID) -> Notification | None:
        row = (await connection.execute(self._get, {"user": user, "id": id})).one_or_none()
        return _read_notification(row) if row is not None else None


def _selected(statement: Select[Any], user: str, filter: NotificationFilter) -> Select[Any]:
    columns = notifications.c
    conditions: list[ColumnElement[bool]] = [columns.user_id == user, *in_state(columns, filter)]
    if filter.type is not None:
        conditions.append(columns.notification_type == filter.type)
    if filter.start is not None:
        conditions.append(columns.created_at >= filter.start)
    if filter.end is not None:
        conditions.append(columns.created_at <= filter.end)
    return statement.where(*conditions)


def _find_muted_unread(is_postgresql: bool) -> Select[Any]:
    """Returns the statement for `SqlInboxes.find_muted_unread`. Its rows are the next `limit` users who mute any type,
    by user id, each with `has_unread`: whether the user has unread notifications of muted types. Notifications that
    were marked unread by the user do not count."""
    muting = (
        select(preferences.c.user_id, preferences.c.muted_types)
        .where(preferences.c.user_id > bindparam("after"), preferences.c.muted_types != [])
        .order_by(preferences.c.user_id)
        .limit(bindparam("limit"))
        .subquery()
    )
    type_, muted = notifications.c.notification_type, muting.c.muted_types
    if is_postgresql:
        is_muted = muted.op("?")(type_)
    else:
        is_muted = type_.in_(select(func.json_each(muted).table_valued("value").c.value))
    unread = exists().where(notifications.c.user_id == muting.c.user_id, *_UNREAD, _UNCHANGED, is_muted)
    return select(muting.c.user_id, unread.correlate(muting).label("has_unread")).order_by(muting.c.user_id)


async def _write_head(connection: AsyncConnection, user: str, head: Head) -> None:
    """Stores the head of a user's inbox after a change: the last position, the totals and the watermark."""
    values = {
        "last_seq": head.last,
        "unread_count": head.unread,
        "seen_seq": head.seen_seq,
        "seen_changed": head.seen_changed,
        "seen_unread": head.seen_unread,
        "seen_counted": head.last - inboxes.c.entry_count,
    }
    await connection.execute(update(inboxes).where(inboxes.c.user_id == user).values(**values))
