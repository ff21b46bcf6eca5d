"""Adding deliveries and recording attempts at them: as in `writing`, PostgreSQL takes whole columns at once, SQLite row
by row."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, DateTime, Double, Interval, Text, Uuid, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.sqlite import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from adapters.sql.database import Database
from adapters.sql.queries import attempts as attempts_table
from adapters.sql.queries import deliveries as deliveries_table
from adapters.sql.statements import statement
from application.ports.deliveries import Outcome
from domain.deliveries import Delivery
from domain.event_identity import qualified_origin

_TEXTS: Final = ARRAY(Text)
_MOMENTS: Final = ARRAY(DateTime(timezone=True))

# The columns of a new delivery, in PostgreSQL's types.
_DELIVERY: Final[dict[str, TypeEngine[Any]]] = {
    "id": ARRAY(Uuid),
    "origin": _TEXTS,
    "event_id": _TEXTS,
    "recipient": _TEXTS,
    "status": _TEXTS,
    "error_message": _TEXTS,
    "source": _TEXTS,
    "type": _TEXTS,
    "profile": _TEXTS,
    "event_time": _MOMENTS,
    "subject": _TEXTS,
    "template": _TEXTS,
    "user_id": _TEXTS,
    "order_id": _TEXTS,
    "created_at": _MOMENTS,
    "updated_at": _MOMENTS,
    "due_at": _MOMENTS,
}

# What an attempt tells: of the delivery, and of itself.
_OUTCOME: Final[dict[str, TypeEngine[Any]]] = {
    "delivery_id": ARRAY(Uuid),
    "lease": ARRAY(Uuid),
    "status": _TEXTS,
    "error_message": _TEXTS,
    "retry_in": ARRAY(Interval),
    "counts": ARRAY(BigInteger),
    "awaits_server": ARRAY(Boolean),
    "at": _MOMENTS,
    "seconds": ARRAY(Double),
    "result": _TEXTS,
    "code": ARRAY(BigInteger),
    "words": _TEXTS,
}


def _parameters(types: dict[str, TypeEngine[Any]]) -> str:
    return ", ".join(f":{name}_" for name in types)


def _typed(types: dict[str, TypeEngine[Any]]) -> dict[str, TypeEngine[Any]]:
    return {f"{name}_": type_ for name, type_ in types.items()}


# Payloads are sent once, however many addresses they go to, and joined by number.
_ADD: Final = statement(
    f"""
    INSERT INTO deliveries ({", ".join(_DELIVERY)}, payload)
    SELECT {", ".join(f"d.{name}" for name in _DELIVERY)}, p.payload
    FROM unnest({_parameters(_DELIVERY)}, :qualified, :numbers) AS d({", ".join(_DELIVERY)}, qualified, number)
    JOIN unnest(:payloads) WITH ORDINALITY AS p(payload, number) ON p.number = d.number
    WHERE (
        SELECT k.id FROM deliveries k
        WHERE k.origin = d.qualified AND k.event_id = d.event_id AND k.recipient = d.recipient
    ) IS NULL
    ON CONFLICT (origin, event_id, recipient) DO NOTHING
    RETURNING id
    """,  # noqa: S608 - our own names
    **_typed(_DELIVERY),
    qualified=_TEXTS,
    numbers=ARRAY(BigInteger),
    payloads=_TEXTS,
)

_SOURCES: Final = statement(
    """
    SELECT d.origin, d.event_id, d.recipient, d.source
    FROM unnest(:origins, :event_ids, :recipients) AS k(origin, event_id, recipient)
    JOIN deliveries d USING (origin, event_id, recipient)
    """,
    origins=_TEXTS,
    event_ids=_TEXTS,
    recipients=_TEXTS,
)

_SETTLE: Final = statement(
    f"""
    WITH told AS (
        SELECT * FROM unnest({_parameters(_OUTCOME)}) AS t({", ".join(_OUTCOME)})
    ), settled AS (
        UPDATE deliveries d
        SET status = t.status, error_message = t.error_message, due_at = now() + t.retry_in, updated_at = now(),
            sent_at = CASE WHEN t.status = 'sent' THEN now() END, attempts = d.attempts + 1,
            strikes = d.strikes + t.counts, awaits_server = t.awaits_server, lease = NULL,
            unrendered_since = NULL
        FROM told t
        WHERE d.id = t.delivery_id AND d.lease = t.lease
        RETURNING d.id, t.lease, d.attempts
    ), noted AS (
        INSERT INTO delivery_attempts (delivery_id, number, at, seconds, result, code, text)
        SELECT s.id, s.attempts, t.at, t.seconds, t.result, t.code, t.words
        FROM settled s JOIN told t ON t.delivery_id = s.id AND t.lease = s.lease
    )
    SELECT count(*) FROM settled
    """,  # noqa: S608 - our own names
    **_typed(_OUTCOME),
)


_SOURCE: Final = select(deliveries_table.c.source).where(
    *(deliveries_table.c[name] == bindparam(name) for name in ("origin", "event_id", "recipient"))
)


class DeliveryWriting(Protocol):
    """The statements that write deliveries."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        """Adds those whose event has none to the same address yet, under their origin or the qualified one. Returns
        their ids."""

    async def sources(
        self, connection: AsyncConnection, keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        """The sources of those of these (origin, event id, address) that are stored."""

    async def settle(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        """Records what became of deliveries whose lease is still the claim's own; returns how many."""


class PostgresqlDeliveryWriting:
    """Implements DeliveryWriting."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        numbers: dict[str, int] = {}
        for one in made:
            numbers.setdefault(one.mail.payload, len(numbers) + 1)
        columns = _columns([_row(one) for one in made])
        payloads = {"numbers": [numbers[one.mail.payload] for one in made], "payloads": list(numbers)}
        qualified = {"qualified": [_qualified_origin(one) for one in made]}
        return set(await connection.scalars(_ADD, columns | payloads | qualified))

    async def sources(
        self, connection: AsyncConnection, keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        origins, event_ids, recipients = (list(column) for column in zip(*keys, strict=True))
        columns = {"origins": origins, "event_ids": event_ids, "recipients": recipients}
        found = await connection.execute(_SOURCES, columns)
        return {(origin, event_id, address): source for origin, event_id, address, source in found}

    async def settle(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        # In one order on every node: two may settle some of the same, where a lease has run out.
        rows = sorted((_told(one) for one in outcomes), key=lambda row: row["delivery_id"])
        return await connection.scalar(_SETTLE, _columns(rows)) or 0


class SqliteDeliveryWriting:
    """Implements DeliveryWriting."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        add = insert_or_not(deliveries_table).on_conflict_do_nothing()
        new = set()
        for one in made:
            qualified = (_qualified_origin(one), one.mail.event_id, one.address)
            if await self.sources(connection, [qualified]):
                continue
            if (await connection.execute(add, _row(one) | {"payload": one.mail.payload})).rowcount:
                new.add(one.id)
        return new

    async def sources(
        self, connection: AsyncConnection, keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        found = {}
        for origin, event_id, address in keys:
            parameters = {"origin": origin, "event_id": event_id, "recipient": address}
            source = await connection.scalar(_SOURCE, parameters)
            if source is not None:
                found[origin, event_id, address] = source
        return found

    async def settle(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        settled = 0
        for outcome in outcomes:
            told = _told(outcome)
            table, now = deliveries_table.c, datetime.now(UTC)
            change = (
                update(deliveries_table)
                .where(table.id == told["delivery_id"], table.lease == told["lease"])
                .values(
                    status=told["status"],
                    error_message=told["error_message"],
                    due_at=now + told["retry_in"],
                    updated_at=now,
                    sent_at=now if told["status"] == "sent" else None,
                    attempts=table.attempts + 1,
                    strikes=table.strikes + told["counts"],
                    awaits_server=told["awaits_server"],
                    lease=None,
                    unrendered_since=None,
                )
            )
            if not (await connection.execute(change)).rowcount:
                continue
            settled += 1
            number = select(table.attempts).where(table.id == told["delivery_id"]).scalar_subquery()
            attempt = {name: told[name] for name in ("delivery_id", "at", "seconds", "result", "code")}
            await connection.execute(insert(attempts_table).values(number=number, text=told["words"], **attempt))
        return settled


def delivery_writing(database: Database) -> DeliveryWriting:
    return PostgresqlDeliveryWriting() if database.is_postgresql else SqliteDeliveryWriting()


def _qualified_origin(made: Delivery) -> str:
    return qualified_origin(made.mail.origin, made.mail.source)


def _row(made: Delivery) -> dict[str, Any]:
    mail = made.mail
    return {
        "id": made.id,
        "origin": mail.origin,
        "event_id": mail.event_id,
        "recipient": made.address,
        "status": made.status,
        "error_message": made.error,
        "source": mail.source,
        "type": mail.type,
        "profile": mail.profile,
        "event_time": mail.time,
        "subject": mail.subject,
        "template": mail.template,
        "user_id": mail.user,
        "order_id": mail.reference,
        "created_at": made.created_at,
        "updated_at": made.updated_at,
        "due_at": made.due_at,
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    attempt = outcome.attempt
    return {
        "delivery_id": outcome.claim.delivery.id,
        "lease": outcome.claim.lease,
        "status": outcome.status,
        "error_message": outcome.error,
        "retry_in": timedelta(seconds=outcome.retry_in),
        "counts": int(outcome.counts),
        "awaits_server": outcome.awaits_server,
        "at": attempt.at,
        "seconds": attempt.seconds,
        "result": attempt.result,
        "code": attempt.code,
        "words": attempt.text,
    }


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """As parameters of the statements above."""
    return {f"{name}_": [row[name] for row in rows] for name in rows[0]}
