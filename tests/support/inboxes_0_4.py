"""The statements that nodes of version 0.4 execute on the tables `inboxes` and `notifications`."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid4

from advanced_alchemy.types import GUID, DateTimeUTC, JsonB
from sqlalchemy import BigInteger, Boolean, Column, MetaData, Row, Table, Text, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

MOMENT: Final = DateTimeUTC(timezone=True)

INBOXES: Final = Table(
    "inboxes",
    MetaData(),
    Column("user_id", Text()),
    *(Column(name, BigInteger()) for name in ("last_seq", "pruned_seq", "unread_count", "entry_count")),
    *(Column(name, MOMENT) for name in ("oldest_at", "not_before")),
    Column("qualified_seq", BigInteger()),
)
NOTIFICATIONS: Final = Table(
    "notifications",
    MetaData(),
    Column("id", GUID()),
    *(Column(name, Text()) for name in ("user_id", "title", "message", "notification_type", "event_type")),
    Column("data", JsonB),
    *(Column(name, Boolean()) for name in ("is_read", "is_archived", "is_muted")),
    *(Column(name, MOMENT) for name in ("created_at", "updated_at", "read_at")),
    *(Column(name, BigInteger()) for name in ("seq", "changed")),
    *(Column(name, Text()) for name in ("origin", "event_id", "source", "profile", "envelope", "body")),
    Column("event_time", MOMENT),
    Column("url", Text()),
)

_inbox: Final = INBOXES.c
_column: Final = NOTIFICATIONS.c

# Which notifications a change alters, and the columns that it sets.
_CHANGES: Final[dict[str, tuple[Any, Any]]] = {
    "read": ((~_column.is_read, ~_column.is_archived), lambda now: {"is_read": True, "read_at": now}),
    "unread": ((_column.is_read, ~_column.is_archived), lambda _: {"is_read": False, "read_at": None}),
    "archived": ((~_column.is_archived,), lambda _: {"is_archived": True}),
}


class OldNode:
    """A node of version 0.4."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(url)
        self._is_postgresql = url.startswith("postgresql")

    async def close(self) -> None:
        await self._engine.dispose()

    async def add(self, user: str, event_id: str, now: datetime) -> int:
        """Store a notification. Returns its position."""
        async with self._engine.begin() as connection:
            upsert = postgresql_insert if self._is_postgresql else sqlite_insert
            await connection.execute(upsert(INBOXES).values(user_id=user).on_conflict_do_nothing())
            head = await self._lock(connection, user)
            assert head is not None
            seq = head.last_seq + 1
            row = {
                "id": uuid4(),
                "user_id": user,
                "seq": seq,
                "changed": seq,
                **dict.fromkeys(("is_read", "is_archived", "is_muted"), False),
                **dict.fromkeys(("created_at", "updated_at", "event_time"), now),
                **dict.fromkeys(("origin", "source", "notification_type", "event_type"), "direct"),
                **dict.fromkeys(("title", "message"), ""),
                "event_id": event_id,
                "profile": "trading",
                "envelope": "event",
                "body": "{}",
                "data": {},
            }
            await connection.execute(insert(NOTIFICATIONS).values(**row))
            values = {
                "last_seq": seq,
                "unread_count": head.unread_count + 1,
                "entry_count": _inbox.entry_count + 1,
                "oldest_at": func.coalesce(_inbox.oldest_at, now),
                "not_before": head.not_before,
                "qualified_seq": head.qualified_seq,
            }
            await connection.execute(update(INBOXES).where(_inbox.user_id == user).values(**values))
            return int(seq)

    async def change(
        self, user: str, change: Literal["read", "unread", "archived"], first: int, last: int, now: datetime
    ) -> int:
        """Change the notifications with these positions. Returns how many were changed."""
        before, values = _CHANGES[change]
        async with self._engine.begin() as connection:
            head = await self._lock(connection, user)
            chosen = (_column.user_id == user, _column.seq.between(first, last), *before)
            rows = (await connection.execute(select(_column.seq, _column.is_read).where(*chosen))).all()
            if head is None or not rows:
                return 0
            was_unread = len([row for row in rows if not row.is_read])
            unread = head.unread_count + (len(rows) if change == "unread" else -was_unread)
            position = head.last_seq + 1
            counters = update(INBOXES).where(_inbox.user_id == user)
            await connection.execute(counters.values(last_seq=position, unread_count=unread))
            seqs = _column.seq.in_([row.seq for row in rows])
            changed = update(NOTIFICATIONS).where(_column.user_id == user, seqs)
            await connection.execute(changed.values(**values(now), changed=position, updated_at=now))
            return len(rows)

    async def prune(self, user: str, count: int) -> None:
        """Delete the oldest notifications, as many."""
        async with self._engine.begin() as connection:
            await self._lock(connection, user)
            oldest = select(_column.seq).where(_column.user_id == user).order_by(_column.seq).limit(count)
            seqs = (await connection.scalars(oldest)).all()
            if not seqs:
                return
            gone = (_column.user_id == user, _column.seq <= seqs[-1])
            unread = select(func.count()).select_from(NOTIFICATIONS).where(*gone, *_CHANGES["read"][0])
            deleted = await connection.scalar(unread)
            await connection.execute(delete(NOTIFICATIONS).where(*gone))
            left = select(func.min(_column.created_at)).where(_column.user_id == user)
            values = {
                "pruned_seq": seqs[-1],
                "entry_count": _inbox.entry_count - len(seqs),
                "oldest_at": await connection.scalar(left),
                "unread_count": _inbox.unread_count - deleted,
            }
            await connection.execute(update(INBOXES).where(_inbox.user_id == user).values(**values))

    async def head(self, user: str) -> Row[Any]:
        async with self._engine.connect() as connection:
            return (await connection.execute(select(INBOXES).where(_inbox.user_id == user))).one()

    async def changes(self, user: str, after: int) -> list[tuple[int, UUID]]:
        """Return what changed after a position: the new positions and ids of notifications, in order."""
        statement = select(_column.changed, _column.id).where(_column.user_id == user, _column.changed > after)
        async with self._engine.connect() as connection:
            rows = await connection.execute(statement.order_by(_column.changed, _column.seq))
            return [(row.changed, row.id) for row in rows]

    async def _lock(self, connection: AsyncConnection, user: str) -> Row[Any] | None:
        # On SQLite, a write first: otherwise another transaction may write between the reading and the writing.
        if not self._is_postgresql:
            await connection.execute(update(INBOXES).where(_inbox.user_id == user).values(last_seq=_inbox.last_seq))
        locked = select(INBOXES).where(_inbox.user_id == user).with_for_update()
        return (await connection.execute(locked)).one_or_none()
