"""Counts what waits in the database: pending deliveries and dead letters."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Select, bindparam, func, literal, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.delivery_rows import EMAIL, PENDING, WAITING
from adapters.sql.queries import deliveries, letters
from application.ports.backlog_counts import PendingDeliveries, Waiting

_TABLE: Final = deliveries.c
_LIMIT: Final[BindParameter[int]] = bindparam("limit")


def _first(status: str, *columns: str) -> Select[Any]:
    """Returns the statement for the first deliveries with this stored status, at most the parameter `limit`: their
    channel, and these columns."""
    # All `pending` rows are e-mail. Without the column `channel`, counting them reads only an index.
    channel = literal(EMAIL).label("channel") if status == PENDING else _TABLE.channel
    # A literal, so that PostgreSQL can plan with the partial index over waiting rows.
    chosen = select(channel, *(_TABLE[name] for name in columns)).where(_TABLE.status == literal_column(f"'{status}'"))
    return chosen.limit(_LIMIT)


def _counts(status: str) -> Select[Any]:
    some = _first(status).subquery()
    return select(some.c.channel, func.count()).group_by(some.c.channel)


def _oldest(status: str) -> Select[Any]:
    """Returns the statement for the time at which the oldest delivery of a channel was created that should have been
    sent by now. The database reads rows in the order of ids, which is that of creation, until it finds one."""
    columns = ("id", "created_at", "due_at", "attempts", "awaits_server", "lease")
    some = _first(status, *columns).order_by(_TABLE.id).subquery().c
    is_tried = or_(some.attempts > 0, some.awaits_server, some.lease.is_not(None))
    should_be_sent = or_(is_tried, some.due_at <= bindparam("now", type_=_TABLE.due_at.type))
    return select(some.created_at).where(some.channel == bindparam("of"), should_be_sent).order_by(some.id).limit(1)


_COUNTS: Final = {status: _counts(status) for status in (PENDING, WAITING)}
_OLDEST: Final = {status: _oldest(status) for status in (PENDING, WAITING)}
_LETTERS: Final = select(func.count()).select_from(select(letters.c.id).limit(_LIMIT).subquery())


class SqlBacklog:
    """Implements the port Backlog on the tables `deliveries` and `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, limit: int, examined: int) -> Waiting:
        return await self._database.read(lambda connection: _count(connection, limit, examined, datetime.now(UTC)))


async def _count(connection: AsyncConnection, limit: int, examined: int, now: datetime) -> Waiting:
    counts: dict[str, int] = {}
    oldest: dict[str, datetime] = {}
    for status in (PENDING, WAITING):
        for channel, count in (await connection.execute(_COUNTS[status], {"limit": limit})).all():
            counts[channel] = counts.get(channel, 0) + count
            created_at = await connection.scalar(_OLDEST[status], {"limit": examined, "now": now, "of": channel})
            oldest[channel] = min(created_at or now, oldest.get(channel, now))
    dead_letters = await connection.scalar(_LETTERS, {"limit": limit}) or 0
    return Waiting(
        {
            channel: PendingDeliveries(min(count, limit), (now - oldest[channel]).total_seconds())
            for channel, count in counts.items()
        },
        dead_letters,
    )
