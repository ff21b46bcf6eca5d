"""The statements that nodes of version 0.2 execute on the table `deliveries`."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from advanced_alchemy.types import GUID, DateTimeUTC
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import create_async_engine

MOMENT: Final = DateTimeUTC(timezone=True)

DELIVERIES: Final = Table(
    "deliveries",
    MetaData(),
    Column("id", GUID()),
    *(Column(name, Text()) for name in ("origin", "event_id", "recipient", "status", "error_message", "source")),
    *(Column(name, Text()) for name in ("type", "profile", "payload")),
    Column("event_time", MOMENT),
    *(Column(name, Text()) for name in ("subject", "template", "user_id", "order_id")),
    *(Column(name, MOMENT) for name in ("created_at", "updated_at", "due_at", "sent_at")),
    Column("attempts", BigInteger()),
    Column("strikes", BigInteger()),
    Column("awaits_server", Boolean()),
    Column("lease", GUID()),
    Column("unrendered_since", MOMENT),
)
ATTEMPTS: Final = Table(
    "delivery_attempts",
    MetaData(),
    Column("delivery_id", GUID()),
    Column("number", BigInteger()),
    Column("at", MOMENT),
    Column("seconds", Float()),
    Column("result", Text()),
    Column("code", BigInteger()),
    Column("text", Text()),
)


class OldNode:
    """A node of version 0.2. As in that version, its SQLite connections do not enforce foreign keys."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(url)
        self._insert = postgresql_insert if url.startswith("postgresql") else sqlite_insert

    async def close(self) -> None:
        await self._engine.dispose()

    async def add(self, id: UUID, event_id: str, recipient: str, at: datetime) -> bool:
        """Add a mail. Returns whether this event had no mail to this address yet."""
        row = {
            "id": id,
            "origin": "order",
            "event_id": event_id,
            "recipient": recipient,
            "status": "pending",
            "source": "order",
            "type": "order",
            "profile": "trading",
            "payload": '{"order_id": "o-1"}',
            "event_time": at,
            "subject": "Order o-1",
            "template": "order_created.html",
            "order_id": "o-1",
            "created_at": at,
            "updated_at": at,
            "due_at": at,
        }
        statement = self._insert(DELIVERIES).values(row).on_conflict_do_nothing()
        return bool(await self._write(statement))

    async def claim(self, limit: int = 10) -> list[Row[Any]]:
        table, now = DELIVERIES.c, datetime.now(UTC)
        due = select(table.id).where(table.status == "pending", table.due_at <= now, table.template.not_in([]))
        due = due.order_by(table.due_at).limit(limit).with_for_update(skip_locked=True)
        claimed = update(DELIVERIES).where(table.id.in_(select(due.cte("due").c.id)))
        values = {"lease": uuid4(), "due_at": now + timedelta(seconds=65), "awaits_server": False}
        async with self._engine.begin() as connection:
            found = await connection.execute(claimed.values(values).returning(*DELIVERIES.c))
            return list(found)

    async def settle(self, claim: Row[Any], status: str, error: str | None = None, retry_in: float = 0.0) -> bool:
        """Record an attempt. Returns whether the lease was still held by this claim."""
        table, now = DELIVERIES.c, datetime.now(UTC)
        change = update(DELIVERIES).where(table.id == claim.id, table.lease == claim.lease)
        change = change.values(
            status=status,
            error_message=error,
            due_at=now + timedelta(seconds=retry_in),
            updated_at=now,
            sent_at=now if status == "sent" else None,
            attempts=table.attempts + 1,
            strikes=table.strikes + 1,
            awaits_server=status == "pending",
            lease=None,
            unrendered_since=None,
        )
        if not await self._write(change):
            return False
        number = select(table.attempts).where(table.id == claim.id).scalar_subquery()
        attempt = {"delivery_id": claim.id, "at": now, "seconds": 0.1, "result": "sent", "code": 250, "text": "Ok"}
        await self._write(insert(ATTEMPTS).values(number=number, **attempt))
        return True

    async def hasten(self) -> int:
        """Make the deliveries due that wait for the mail server."""
        table = DELIVERIES.c
        awaiting = update(DELIVERIES).where(table.status == "pending", table.awaits_server)
        return await self._write(awaiting.values(awaits_server=False, due_at=datetime.now(UTC)))

    async def retry(self, id: UUID) -> str:
        """Retry a delivery on request. Returns its status before."""
        table, now = DELIVERIES.c, datetime.now(UTC)
        async with self._engine.begin() as connection:
            found = await connection.execute(select(*table).where(table.id == id).with_for_update())
            row = found.one()
            if row.status == "failed" or (row.status == "skipped" and row.error_message == "no_address"):
                again = update(DELIVERIES).where(table.id == id)
                values = {"status": "pending", "due_at": now, "updated_at": now, "strikes": 0}
                await connection.execute(again.values(**values, unrendered_since=None))
            return str(row.status)

    async def prune(self, before: datetime, count: int, limit: int = 500) -> int:
        """Delete ended deliveries that are older than this, or exceed this number."""
        table = DELIVERIES.c
        ended = select(table.id).where(table.status != "pending")
        too_old = ended.order_by(table.created_at, table.id).where(table.created_at < before).limit(limit)
        too_many = ended.order_by(table.created_at.desc(), table.id.desc()).offset(count).limit(limit)
        async with self._engine.begin() as connection:
            gone = (await connection.scalars(too_old)).all() or (await connection.scalars(too_many)).all()
            still = delete(DELIVERIES).where(table.id.in_(gone), table.status != "pending").returning(table.id)
            gone = (await connection.scalars(still)).all()
            await connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.delivery_id.in_(gone)))
            return len(gone)

    async def newest(self, limit: int = 10) -> list[Row[Any]]:
        async with self._engine.begin() as connection:
            found = await connection.execute(select(*DELIVERIES.c).order_by(DELIVERIES.c.id.desc()).limit(limit))
            return list(found)

    async def count(self, status: str) -> int:
        async with self._engine.begin() as connection:
            counted = select(func.count()).select_from(DELIVERIES).where(DELIVERIES.c.status == status)
            return int(await connection.scalar(counted) or 0)

    async def _write(self, statement: Any) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount
