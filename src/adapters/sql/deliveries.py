"""Claims deliveries and records their outcomes for the dispatchers, and lists deliveries for administrators. Deliveries
are created by `SqlStore.record`."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Interval,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from adapters.sql.database import Database
from adapters.sql.delivery_rows import (
    COLUMNS,
    FORMAT,
    IS_PENDING,
    PENDING,
    PENDING_AGAIN,
    WAITING,
    delivery_preferences,
    pending_status,
    read_deliveries,
)
from adapters.sql.dialects.selection import delivery_writing_for
from adapters.sql.queries import DELIVERY_PREFERENCES, attempts, deliveries, preferences
from application.ports.deliveries import ANY, Claim, DeliveryFilter, Outcome
from domain.deliveries import Attempt, Delivery
from domain.preferences import DEFAULT, Preferences

_ALL: Final = select(*COLUMNS)
# The result of a delivery's last attempt. Null for a delivery that failed before any attempt.
_LAST_RESULT: Final = (
    select(attempts.c.result)
    .where(attempts.c.delivery_id == deliveries.c.id)
    .order_by(attempts.c.number.desc())
    .limit(1)
    .correlate(deliveries)
    .scalar_subquery()
)


class SqlDeliveries:
    """Implements the port Deliveries on the table `deliveries`. Ids are UUIDv7, so a later delivery has a greater id. A
    claim sets `due_at` to the end of its lease: if the node dies, the delivery is due again then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = delivery_writing_for(database)
        self._claims = {status: _claim(status, database.is_postgresql) for status in (PENDING, WAITING)}

    async def claim(
        self, channel: str, limit: int, lease_seconds: float, except_templates: Collection[str] = ()
    ) -> tuple[Claim, ...]:
        lease = uuid4()
        span, now = timedelta(seconds=lease_seconds), datetime.now(UTC)
        times = {"span": span} if self._database.is_postgresql else {"now": now, "until": now + span}
        parameters = {
            "of_channel": channel,
            "limit": limit,
            "new_lease": lease,
            "except_templates": list(except_templates),
            **times,
        }
        statement = self._claims[pending_status(channel)]

        async def store(connection: AsyncConnection) -> tuple[Claim, ...]:
            rows = (await connection.execute(statement, parameters)).all()
            claimed = await read_deliveries(connection, rows)
            of_users = await _preferences(connection, claimed)
            claimed.sort(key=lambda one: one.id)
            return tuple(Claim(one, lease, of_users.get(one.user or "", DEFAULT)) for one in claimed)

        return await self._database.write(store)

    async def release(self, claims: Sequence[Claim]) -> None:
        if claims:
            await self._change(_still_claimed(claims), lease=None, due_at=self._now())

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        if claims:
            now = self._now()
            since = func.coalesce(deliveries.c.unrendered_since, now)
            values = {"lease": None, "due_at": now, "error_message": error, "unrendered_since": since}
            await self._change(_still_claimed(claims), **values)

    async def clear_unrendered(self, channel: str, templates: Collection[str]) -> int:
        if not templates:
            return 0
        table = deliveries.c
        marked = _pending_of(channel) & table.unrendered_since.is_not(None) & table.template.in_(list(templates))
        return await self._change(marked, unrendered_since=None)

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        if not outcomes:
            return 0
        return await self._database.write(lambda connection: self._writing.record_outcomes(connection, outcomes))

    async def wake_deferred(self, channel: str, peer: str | None = None) -> int:
        table = deliveries.c
        waiting = _pending_of(channel) & table.awaits_server
        if peer is not None:
            # `awaited_peer` is null in rows that nodes of the previous version have deferred.
            waiting &= func.coalesce(table.awaited_peer, peer) == peer
        return await self._change(waiting, awaits_server=False, due_at=self._now())

    async def newest(
        self, limit: int, only: DeliveryFilter = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        statement = _matching(_ALL, only).order_by(deliveries.c.id.desc()).limit(limit).offset(offset)
        if before is not None:
            statement = statement.where(deliveries.c.id < before)
        return tuple(await self._read(statement))

    async def count(self, only: DeliveryFilter) -> int:
        statement = _matching(select(func.count()).select_from(deliveries), only)
        ((count,),) = await self._database.fetch(statement, {})
        return int(count)

    async def get(self, id: UUID) -> Delivery | None:
        found = await self._read(_ALL.where(deliveries.c.id == id))
        return found[0] if found else None

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        columns = [attempts.c[name] for name in ("at", "seconds", "result", "code", "text")]
        statement = select(*columns).where(attempts.c.delivery_id == id).order_by(attempts.c.number)
        return tuple(Attempt(*row) for row in await self._database.fetch(statement, {}))

    async def retry(self, id: UUID) -> Delivery | None:
        now = self._now()
        this = deliveries.c.id == id
        again = update(deliveries).where(this)
        again = again.values(status=PENDING_AGAIN, due_at=now, updated_at=now, strikes=0, unrendered_since=None)

        async def store(connection: AsyncConnection) -> Delivery | None:
            rows = (await connection.execute(_ALL.where(this).with_for_update())).all()
            before = next(iter(await read_deliveries(connection, rows)), None)
            if before is not None and before.retryable:
                await connection.execute(again)
            return before

        return await self._database.write(store)

    async def _read(self, statement: Select[Any]) -> list[Delivery]:
        async def ask(connection: AsyncConnection) -> list[Delivery]:
            return await read_deliveries(connection, (await connection.execute(statement)).all())

        return await self._database.read(ask)

    async def _change(self, which: ColumnElement[bool], **values: Any) -> int:
        statement = update(deliveries).where(which).values(**values)

        async def store(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self._database.write(store)

    def _now(self) -> Any:
        """Returns the current time as a value for statements. On PostgreSQL it is the time of the database server, so
        the clocks of the nodes do not matter for leases; on SQLite it is the time of this machine."""
        return func.now() if self._database.is_postgresql else datetime.now(UTC)


async def _preferences(connection: AsyncConnection, claimed: Sequence[Delivery]) -> dict[str, Preferences]:
    """Returns the preferences of the users of the claimed deliveries, by user. Users who have set none are left out."""
    users = {one.user for one in claimed if one.user is not None}
    if not users:
        return {}
    found = await connection.execute(select(*DELIVERY_PREFERENCES).where(preferences.c.user_id.in_(users)))
    return {row.user_id: delivery_preferences(row) for row in found}


def _claim(stored_status: str, is_postgresql: bool) -> ReturningUpdate[Any]:
    """Returns the statement for `SqlDeliveries.claim`: claims deliveries of one channel that are due, and returns their
    rows. `stored_status` is `pending` or `waiting` (see DeliveryRow)."""
    table = deliveries.c
    moment = table.due_at.type
    if is_postgresql:
        now: Any = func.now()
        until: Any = now + bindparam("span", type_=Interval)
    else:
        now, until = bindparam("now", type_=moment), bindparam("until", type_=moment)
    others = table.template.not_in(bindparam("except_templates", expanding=True))
    due = select(table.id).where(
        # A literal, so that PostgreSQL can plan with the partial index over waiting rows.
        table.status == literal_column(f"'{stored_status}'"),
        table.channel == bindparam("of_channel"),
        table.format <= FORMAT,
        table.due_at <= now,
        others,
    )
    # Rows that another node is claiming are skipped. On SQLite there is only one writer, and FOR UPDATE is a no-op.
    due = due.order_by(table.due_at).limit(bindparam("limit", type_=BigInteger)).with_for_update(skip_locked=True)
    values = {
        "lease": bindparam("new_lease", type_=table.lease.type),
        "due_at": until,
        "awaits_server": False,
        "awaited_peer": None,
    }
    return update(deliveries).where(table.id.in_(select(due.cte("due").c.id))).values(values).returning(*COLUMNS)


def _pending_of(channel: str) -> ColumnElement[bool]:
    return (deliveries.c.status == literal_column(f"'{pending_status(channel)}'")) & (deliveries.c.channel == channel)


def _matching(statement: Select[Any], only: DeliveryFilter) -> Select[Any]:
    wanted = {
        "recipient": only.recipient,
        "order_id": only.reference,
        "user_id": only.user,
        "event_id": only.event_id,
    }
    statement = statement.where(*(deliveries.c[name] == value for name, value in wanted.items() if value is not None))
    if only.status is not None:
        statement = statement.where(IS_PENDING if only.status == PENDING else deliveries.c.status == only.status)
    if only.since is not None:
        statement = statement.where(deliveries.c.created_at >= only.since)
    if only.refused is not None:
        was_refused = func.coalesce(_LAST_RESULT == "refused", true())
        statement = statement.where(deliveries.c.status == "failed", was_refused == only.refused)
    return statement


def _still_claimed(claims: Sequence[Claim]) -> ColumnElement[bool]:
    """Returns the SQL condition for those deliveries of the claims that have not been claimed again, released or
    recorded since: they still have the claim's lease id in the column `lease`."""
    table = deliveries.c
    return table.id.in_([one.delivery.id for one in claims]) & table.lease.in_({one.lease for one in claims})
