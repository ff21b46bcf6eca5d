"""Deliveries: worked off, and looked through. Recordings put them there."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ColumnElement, Interval, Row, Select, bindparam, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from adapters.sql.database import Database
from adapters.sql.dialects.deliveries import delivery_writing
from adapters.sql.queries import attempts, deliveries
from application.ports.deliveries import ANY, Claim, DeliveryChoice, Outcome
from domain.deliveries import Attempt, Delivery, Mail

_MAIL: Final = (
    *("origin", "event_id", "source", "type", "profile", "payload", "event_time", "subject", "template", "user_id"),
    "order_id",
)
_DELIVERY: Final = (
    *("id", "recipient", "status", "error_message", "created_at", "updated_at", "due_at", "sent_at", "attempts"),
    *("strikes", "unrendered_since"),
)
_COLUMNS: Final = [deliveries.c[name] for name in (*_MAIL, *_DELIVERY)]
_ALL: Final = select(*_COLUMNS)
_PENDING: Final = deliveries.c.status == "pending"
# Null for a delivery that failed before any attempt.
_LAST_RESULT: Final = (
    select(attempts.c.result)
    .where(attempts.c.delivery_id == deliveries.c.id)
    .order_by(attempts.c.number.desc())
    .limit(1)
    .correlate(deliveries)
    .scalar_subquery()
)


class SqlDeliveries:
    """Implements Deliveries. Ids are UUIDv7, so their order is that of making. A lease is a `due_at` put off."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = delivery_writing(database)
        self._claim = _claim(database.is_postgresql)

    async def claim(self, limit: int, seconds: float, except_templates: Collection[str] = ()) -> tuple[Claim, ...]:
        lease = uuid4()
        span, now = timedelta(seconds=seconds), datetime.now(UTC)
        times = {"span": span} if self._database.is_postgresql else {"now": now, "until": now + span}
        parameters = {"limit": limit, "lease": lease, "except_templates": list(except_templates), **times}

        async def store(connection: AsyncConnection) -> tuple[Claim, ...]:
            rows = (await connection.execute(self._claim, parameters)).all()
            return tuple(Claim(one, lease) for one in sorted(map(_delivery, rows), key=lambda one: one.id))

        return await self._database.write(store)

    async def release(self, claims: Sequence[Claim]) -> None:
        if claims:
            await self._change(_held(claims), lease=None, due_at=self._now())

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        if claims:
            now = self._now()
            since = func.coalesce(deliveries.c.unrendered_since, now)
            values = {"lease": None, "due_at": now, "error_message": error, "unrendered_since": since}
            await self._change(_held(claims), **values)

    async def clear_unrendered(self, templates: Collection[str]) -> int:
        marked = _PENDING & deliveries.c.unrendered_since.is_not(None) & deliveries.c.template.in_(list(templates))
        return await self._change(marked, unrendered_since=None) if templates else 0

    async def settle(self, outcomes: Sequence[Outcome]) -> int:
        if not outcomes:
            return 0
        return await self._database.write(lambda connection: self._writing.settle(connection, outcomes))

    async def hasten(self) -> int:
        return await self._change(_PENDING & deliveries.c.awaits_server, awaits_server=False, due_at=self._now())

    async def newest(
        self, limit: int, choice: DeliveryChoice = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        statement = _chosen(_ALL, choice).order_by(deliveries.c.id.desc()).limit(limit).offset(offset)
        if before is not None:
            statement = statement.where(deliveries.c.id < before)
        return tuple(map(_delivery, await self._database.fetch(statement, {})))

    async def count(self, choice: DeliveryChoice) -> int:
        statement = _chosen(select(func.count()).select_from(deliveries), choice)
        ((count,),) = await self._database.fetch(statement, {})
        return int(count)

    async def get(self, id: UUID) -> Delivery | None:
        rows = await self._database.fetch(_ALL.where(deliveries.c.id == id), {})
        return _delivery(rows[0]) if rows else None

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        columns = [attempts.c[name] for name in ("at", "seconds", "result", "code", "text")]
        statement = select(*columns).where(attempts.c.delivery_id == id).order_by(attempts.c.number)
        return tuple(Attempt(*row) for row in await self._database.fetch(statement, {}))

    async def retry(self, id: UUID) -> Delivery | None:
        now = self._now()
        this = deliveries.c.id == id
        again = update(deliveries).where(this)
        again = again.values(status="pending", due_at=now, updated_at=now, strikes=0, unrendered_since=None)

        async def store(connection: AsyncConnection) -> Delivery | None:
            row = (await connection.execute(_ALL.where(this).with_for_update())).one_or_none()
            before = None if row is None else _delivery(row)
            if before is not None and before.retryable:
                await connection.execute(again)
            return before

        return await self._database.write(store)

    async def _change(self, which: ColumnElement[bool], **values: Any) -> int:
        statement = update(deliveries).where(which).values(**values)

        async def store(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self._database.write(store)

    def _now(self) -> Any:
        """By the database's clock, so that leases last as long on every node; a file's is this machine's."""
        return func.now() if self._database.is_postgresql else datetime.now(UTC)


def _claim(is_postgresql: bool) -> ReturningUpdate[Any]:
    table = deliveries.c
    moment = table.due_at.type
    if is_postgresql:
        now: Any = func.now()
        until: Any = now + bindparam("span", type_=Interval)
    else:
        now, until = bindparam("now", type_=moment), bindparam("until", type_=moment)
    others = table.template.not_in(bindparam("except_templates", expanding=True))
    due = select(table.id).where(_PENDING, table.due_at <= now, others).order_by(table.due_at)
    # What another node is claiming is passed over; on SQLite only one writes at a time, and FOR UPDATE is nothing.
    due = due.limit(bindparam("limit", type_=BigInteger)).with_for_update(skip_locked=True)
    chosen = select(due.cte("due").c.id)
    values = {"lease": bindparam("lease", type_=table.lease.type), "due_at": until, "awaits_server": False}
    return update(deliveries).where(table.id.in_(chosen)).values(values).returning(*_COLUMNS)


def _chosen(statement: Select[Any], choice: DeliveryChoice) -> Select[Any]:
    wanted = {
        "recipient": choice.recipient,
        "status": choice.status,
        "order_id": choice.reference,
        "user_id": choice.user,
        "event_id": choice.event_id,
    }
    statement = statement.where(*(deliveries.c[name] == value for name, value in wanted.items() if value is not None))
    if choice.since is not None:
        statement = statement.where(deliveries.c.created_at >= choice.since)
    if choice.refused is not None:
        was_refused = func.coalesce(_LAST_RESULT == "refused", true())
        statement = statement.where(deliveries.c.status == "failed", was_refused == choice.refused)
    return statement


def _held(claims: Sequence[Claim]) -> ColumnElement[bool]:
    """The deliveries whose lease is still their claim's own. They may be of several claims."""
    table = deliveries.c
    return table.id.in_([one.delivery.id for one in claims]) & table.lease.in_({one.lease for one in claims})


def _delivery(row: Row[Any]) -> Delivery:
    id_, *rest = row[len(_MAIL) :]
    return Delivery(id_, Mail(*row[: len(_MAIL)]), *rest)
