"""Deletes the oldest entries, dead letters and deliveries, in short transactions."""

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Table, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.delivery_rows import PENDING, WAITING
from adapters.sql.queries import attempts, broadcasts, deliveries, feeds, inboxes, letters, notifications
from adapters.sql.state_columns import in_state, seen_unread
from adapters.sql.stream_moves import StreamMoves
from application.ports.retention import Keep, Keeping, Pruned
from domain.notification_state import UNREAD

# Maximum number of streams pruned in one step, so that a step stays short.
MAX_STREAMS: Final = 50


class _StreamTables(msgspec.Struct, frozen=True):
    """The tables of inboxes, or those of feeds. `counters` is the table with one row for each stream; `name` is the
    name of its column that identifies the stream. `entries` is the table of the streams' entries; `owner` is the name
    of its column that identifies the stream."""

    counters: Table
    name: str
    entries: Table
    owner: str


_INBOXES: Final = _StreamTables(inboxes, "user_id", notifications, "user_id")
_FEEDS: Final = _StreamTables(feeds, "name", broadcasts, "feed")


class SqlRetention:
    """Implements the port Retention. Prunes each stream in a separate transaction, which first locks the stream's row
    in `inboxes` or `feeds`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moves = StreamMoves(database)

    async def prune(self, keeping: Keeping, now: datetime, limit: int = 500) -> Pruned:
        await self._moves.prune()
        return Pruned(
            await self._prune(_INBOXES, keeping.inbox, now, limit),
            await self._prune(_FEEDS, keeping.feed, now, limit),
            await self._prune_letters(keeping.dead_letters, now, limit),
            await self._prune_deliveries(keeping.deliveries, now, limit),
        )

    async def _prune(self, kind: _StreamTables, keep: Keep, now: datetime, limit: int) -> int:
        counters = kind.counters.c
        due = or_(counters.entry_count > keep.count, counters.oldest_at < now - keep.age)
        pruned = 0
        streams = select(counters[kind.name].label("name")).where(due).limit(MAX_STREAMS)
        for stream in await self._database.fetch(streams, {}):
            if pruned < limit:
                pruned += await self._prune_stream(kind, stream.name, keep, now, limit - pruned)
        return pruned

    async def _prune_stream(self, kind: _StreamTables, name: str, keep: Keep, now: datetime, limit: int) -> int:
        counters, entries = kind.counters.c, kind.entries.c
        stream, owner = counters[kind.name] == name, entries[kind.owner] == name
        oldest = select(entries.seq, entries.created_at).where(owner).order_by(entries.seq)

        async def store(connection: AsyncConnection) -> int:
            lock = select(*counters).where(stream).with_for_update()
            locked = (await connection.execute(lock)).one()
            count, pruned = locked.entry_count, locked.pruned_seq
            first = (await connection.execute(oldest.limit(limit))).all()
            # Counts the entries to delete: from the oldest one, while an entry is too old or there are too many.
            gone = 0
            while gone < len(first) and (count - gone > keep.count or first[gone].created_at < now - keep.age):
                gone += 1
            upto = first[gone - 1].seq if gone else pruned
            which = and_(owner, entries.seq <= upto)
            values: dict[str, Any] = {}
            if gone and kind is _INBOXES:
                values = await _counted_without(connection, which, locked.seen_seq, gone)
            if gone:
                await connection.execute(delete(kind.entries).where(which))
            next_oldest = await connection.scalar(oldest.limit(1).with_only_columns(entries.created_at))
            values |= {"pruned_seq": upto, "entry_count": count - gone, "oldest_at": next_oldest}
            await connection.execute(update(kind.counters).where(stream).values(**values))
            return gone

        return await self._database.write(store)

    async def _prune_letters(self, keep: Keep, now: datetime, limit: int) -> int:
        column = letters.c
        # Ids are UUIDv7, so they ascend in the order of storing.
        newest_too_many = select(column.id).order_by(column.id.desc()).offset(keep.count).limit(1).scalar_subquery()
        due = or_(column.kept_at < now - keep.age, column.id <= newest_too_many)
        chosen = select(column.id).where(due).order_by(column.id).limit(limit)

        async def store(connection: AsyncConnection) -> int:
            return (await connection.execute(delete(letters).where(column.id.in_(chosen)))).rowcount

        return await self._database.write(store)

    async def _prune_deliveries(self, keep: Keep, now: datetime, limit: int) -> int:
        column = deliveries.c
        # Two separate conditions, because the first one is that of the partial index ix_deliveries_ended.
        has_ended = (column.status != PENDING, column.status != WAITING)
        ended = select(column.id).where(*has_ended)
        # Both orders use the index ix_deliveries_ended, however many deliveries are pending.
        newest_first = ended.order_by(column.created_at.desc(), column.id.desc())
        oldest_first = ended.order_by(column.created_at, column.id)
        too_old = oldest_first.where(column.created_at < now - keep.age).limit(limit)
        too_many = newest_first.offset(keep.count).limit(limit)

        async def store(connection: AsyncConnection) -> int:
            gone = (await connection.scalars(too_old)).all() or (await connection.scalars(too_many)).all()
            # A delivery may have become pending again in the meantime.
            still = delete(deliveries).where(column.id.in_(gone), *has_ended).returning(column.id)
            gone = (await connection.scalars(still)).all()
            await connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(gone)))
            return len(gone)

        return await self._database.write(store)


async def _counted_without(connection: AsyncConnection, which: Any, seen_seq: int, gone: int) -> dict[str, Any]:
    """Returns the new values of the counts of unread notifications of an inbox, before the `gone` notifications that
    match the condition `which` are deleted. `seen_seq` is the watermark of the inbox."""
    columns = notifications.c
    seen = func.count().filter(*seen_unread(columns, seen_seq)).label("seen")
    counts = select(func.count().label("total"), seen).where(which, *in_state(columns, UNREAD))
    unread = (await connection.execute(counts)).one()
    return {
        "unread_count": inboxes.c.unread_count - unread.total,
        "seen_unread": inboxes.c.seen_unread - unread.seen,
        # The deletion makes `last_seq - entry_count` larger. A correct count stays correct (see seen_columns).
        "seen_counted": inboxes.c.seen_counted + gone,
    }
