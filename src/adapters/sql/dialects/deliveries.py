"""Statements that add deliveries and record attempts. PostgreSQL takes whole columns, SQLite single rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Double,
    Interval,
    Text,
    Uuid,
    bindparam,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.sqlite import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from adapters.sql.database import Database
from adapters.sql.delivery_rows import EMAIL, delivery_row, is_plain, options_text
from adapters.sql.queries import attempts as attempts_table
from adapters.sql.queries import deliveries as deliveries_table
from adapters.sql.queries import delivery_items as items_table
from adapters.sql.statements import statement
from application.ports.deliveries import Outcome
from domain.deliveries import Delivery
from domain.event_identity import qualified_origin

# The key of an event's delivery: channel, destination, origin, event id.
Key: TypeAlias = tuple[str, str, str, str]

_TEXTS: Final = ARRAY(Text)
_MOMENTS: Final = ARRAY(DateTime(timezone=True))
_NUMBERS: Final = ARRAY(BigInteger)

# The columns of a new delivery except its payload, with PostgreSQL's types.
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
    "channel": _TEXTS,
    "format": _NUMBERS,
}

# The additional columns of its item. `place` preserves the order; `payload_number` is the number of its payload, from
# 1.
_ITEM: Final[dict[str, TypeEngine[Any]]] = {
    "item_origin": _TEXTS,
    "qualified": _TEXTS,
    "options": _TEXTS,
    "plain": ARRAY(Boolean),
    "place": _NUMBERS,
    "payload_number": _NUMBERS,
}
_NEW: Final = _DELIVERY | _ITEM

# The columns of an outcome: those of the delivery, and those of the attempt, if there was one.
_OUTCOME: Final[dict[str, TypeEngine[Any]]] = {
    "delivery_id": ARRAY(Uuid),
    "lease": ARRAY(Uuid),
    "status": _TEXTS,
    "error_message": _TEXTS,
    "retry_in": ARRAY(Interval),
    "counts": _NUMBERS,
    "awaited_peer": _TEXTS,
    "at": _MOMENTS,
    "seconds": ARRAY(Double),
    "result": _TEXTS,
    "code": _NUMBERS,
    "reply": _TEXTS,
}


def _parameters(types: dict[str, TypeEngine[Any]]) -> str:
    return ", ".join(f":{name}_" for name in types)


def _typed(types: dict[str, TypeEngine[Any]]) -> dict[str, TypeEngine[Any]]:
    return {f"{name}_": type_ for name, type_ in types.items()}


# Items are inserted first: if the item exists already, no delivery is added. Each payload is sent to the database once,
# whatever the number of destinations, and joined by number.
_ADD: Final = statement(
    f"""
    WITH new AS (
        SELECT d.*, p.payload
        FROM unnest({_parameters(_NEW)}) AS d({", ".join(_NEW)})
        JOIN unnest(:payloads) WITH ORDINALITY AS p(payload, number) ON p.number = d.payload_number
    ), items AS (
        INSERT INTO delivery_items (
            delivery_id, number, channel, destination, origin, event_id, source, type, profile, payload, event_time,
            subject, template, order_id, options
        )
        SELECT n.id, 1, n.channel, n.recipient, n.item_origin, n.event_id, n.source,
            CASE WHEN NOT n.plain THEN n.type END, CASE WHEN NOT n.plain THEN n.profile END,
            CASE WHEN NOT n.plain THEN n.payload END, CASE WHEN NOT n.plain THEN n.event_time END,
            CASE WHEN NOT n.plain THEN n.subject END, CASE WHEN NOT n.plain THEN n.template END,
            CASE WHEN NOT n.plain THEN n.order_id END, n.options
        FROM new n
        WHERE (
            SELECT k.delivery_id FROM delivery_items k
            WHERE k.channel = n.channel AND k.destination = n.recipient AND k.origin = n.qualified
                AND k.event_id = n.event_id
        ) IS NULL AND (
            SELECT k.id FROM deliveries k
            WHERE n.plain AND k.origin = n.qualified AND k.event_id = n.event_id AND k.recipient = n.recipient
        ) IS NULL AND (
            SELECT k.id FROM deliveries k
            WHERE n.plain AND k.origin = n.origin AND k.event_id = n.event_id AND k.recipient = n.recipient
        ) IS NULL
        ORDER BY n.place
        ON CONFLICT (channel, destination, origin, event_id) DO NOTHING
        RETURNING delivery_id
    ), added AS (
        INSERT INTO deliveries ({", ".join(_DELIVERY)}, payload)
        SELECT {", ".join(f"n.{name}" for name in _DELIVERY)}, CASE WHEN n.plain THEN n.payload ELSE '' END
        FROM new n JOIN items i ON i.delivery_id = n.id
        ORDER BY n.place
        ON CONFLICT (origin, event_id, recipient) DO NOTHING
        RETURNING id
    )
    SELECT i.delivery_id, a.id IS NOT NULL FROM items i LEFT JOIN added a ON a.id = i.delivery_id
    """,  # noqa: S608 - our own names
    **_typed(_NEW),
    payloads=_TEXTS,
)

# Deletes items whose delivery a node of the previous version has added concurrently, without items.
_DROP_ITEMS: Final = statement("DELETE FROM delivery_items WHERE delivery_id = ANY(:ids)", ids=ARRAY(Uuid))

_KEYS: Final[dict[str, TypeEngine[Any]]] = dict.fromkeys(("channel", "destination", "origin", "event_id"), _TEXTS)

# Deliveries added by nodes of the previous version have no items.
_SOURCES: Final = statement(
    f"""
    WITH k AS (SELECT * FROM unnest({_parameters(_KEYS)}) AS k({", ".join(_KEYS)}))
    SELECT channel, destination, origin, event_id, i.source
    FROM k JOIN delivery_items i USING (channel, destination, origin, event_id)
    UNION ALL
    SELECT k.channel, k.destination, k.origin, k.event_id, d.source
    FROM k JOIN deliveries d ON d.origin = k.origin AND d.event_id = k.event_id AND d.recipient = k.destination
    WHERE k.channel = :email
    """,  # noqa: S608 - our own names
    **_typed(_KEYS),
    email=Text(),
)

# A delivery that stays pending keeps its stored status, `pending` or `waiting`.
_RECORD: Final = statement(
    f"""
    WITH outcomes AS (
        SELECT * FROM unnest({_parameters(_OUTCOME)}) AS o({", ".join(_OUTCOME)})
    ), counted AS (
        UPDATE deliveries d
        SET status = CASE WHEN o.status = 'pending' THEN d.status ELSE o.status END,
            error_message = o.error_message, due_at = now() + o.retry_in, updated_at = now(),
            sent_at = CASE WHEN o.status = 'sent' THEN now() END,
            attempts = d.attempts + CASE WHEN o.at IS NULL THEN 0 ELSE 1 END, strikes = d.strikes + o.counts,
            awaits_server = o.awaited_peer IS NOT NULL, awaited_peer = o.awaited_peer, lease = NULL,
            unrendered_since = NULL
        FROM outcomes o
        WHERE d.id = o.delivery_id AND d.lease = o.lease
        RETURNING d.id, o.lease, d.attempts
    ), noted AS (
        INSERT INTO delivery_attempts (delivery_id, number, at, seconds, result, code, text)
        SELECT c.id, c.attempts, o.at, o.seconds, o.result, o.code, o.reply
        FROM counted c JOIN outcomes o ON o.delivery_id = c.id AND o.lease = c.lease
        WHERE o.at IS NOT NULL
    )
    SELECT count(*) FROM counted
    """,  # noqa: S608 - our own names
    **_typed(_OUTCOME),
)

_OF_KEY: Final = union_all(
    select(items_table.c.source).where(*(items_table.c[name] == bindparam(name) for name in _KEYS)),
    select(deliveries_table.c.source).where(
        bindparam("channel") == EMAIL,
        deliveries_table.c.recipient == bindparam("destination"),
        *(deliveries_table.c[name] == bindparam(name) for name in ("origin", "event_id")),
    ),
)


class DeliveryWriting(Protocol):
    """The statements that write deliveries."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        """Add the deliveries that are not yet stored for the same event and destination, under their origin or the
        qualified one. Returns the ids of those added.
        """

    async def sources(self, connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
        """The sources of the deliveries that are stored, by key."""

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        """Record the outcomes of deliveries that still have the lease of the claim. Returns their number."""


class PostgresqlDeliveryWriting:
    """Implements DeliveryWriting."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        numbers: dict[str, int] = {}
        for one in made:
            numbers.setdefault(one.item.payload, len(numbers) + 1)
        rows = [
            {
                **delivery_row(one),
                "item_origin": one.item.origin,
                "qualified": _qualified_origin(one),
                "options": options_text(one.item),
                "plain": is_plain(one.channel),
                "place": place,
                "payload_number": numbers[one.item.payload],
            }
            for place, one in enumerate(made)
        ]
        found = (await connection.execute(_ADD, _columns(rows) | {"payloads": list(numbers)})).all()
        if lost := [id_ for id_, is_added in found if not is_added]:
            await connection.execute(_DROP_ITEMS, {"ids": lost})
        return {id_ for id_, is_added in found if is_added}

    async def sources(self, connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
        columns = {f"{name}_": list(column) for name, column in zip(_KEYS, zip(*keys, strict=True), strict=True)}
        found = await connection.execute(_SOURCES, columns | {"email": EMAIL})
        return {
            (channel, destination, origin, event_id): source for channel, destination, origin, event_id, source in found
        }

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        # Sorted, so that nodes update in the same order and can't deadlock: two nodes may record the same delivery if a
        # lease has expired.
        rows = sorted((_outcome_row(one) for one in outcomes), key=lambda row: row["delivery_id"])
        return await connection.scalar(_RECORD, _columns(rows)) or 0


class SqliteDeliveryWriting:
    """Implements DeliveryWriting."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        add_delivery = insert_or_not(deliveries_table).on_conflict_do_nothing()
        add_item = insert(items_table)
        new = set()
        for one in made:
            qualified = (one.channel, one.destination, _qualified_origin(one), one.item.event_id)
            if await self.sources(connection, [one.key, qualified]):
                continue
            plain = is_plain(one.channel)
            row = delivery_row(one) | {"payload": one.item.payload if plain else ""}
            await connection.execute(add_delivery, row)
            await connection.execute(add_item, _item_row(one, row, plain))
            new.add(one.id)
        return new

    async def sources(self, connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
        found = {}
        for key in keys:
            source = await connection.scalar(_OF_KEY, dict(zip(_KEYS, key, strict=True)))
            if source is not None:
                found[key] = source
        return found

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        counted = 0
        for outcome in outcomes:
            row = _outcome_row(outcome)
            table, now = deliveries_table.c, datetime.now(UTC)
            was_attempted = outcome.attempt is not None
            change = (
                update(deliveries_table)
                .where(table.id == row["delivery_id"], table.lease == row["lease"])
                .values(
                    status=table.status if row["status"] == "pending" else row["status"],
                    error_message=row["error_message"],
                    due_at=now + row["retry_in"],
                    updated_at=now,
                    sent_at=now if row["status"] == "sent" else None,
                    attempts=table.attempts + was_attempted,
                    strikes=table.strikes + row["counts"],
                    awaits_server=row["awaited_peer"] is not None,
                    awaited_peer=row["awaited_peer"],
                    lease=None,
                    unrendered_since=None,
                )
            )
            if not (await connection.execute(change)).rowcount:
                continue
            counted += 1
            if was_attempted:
                number = select(table.attempts).where(table.id == row["delivery_id"]).scalar_subquery()
                attempt = {name: row[name] for name in ("delivery_id", "at", "seconds", "result", "code")}
                await connection.execute(insert(attempts_table).values(number=number, text=row["reply"], **attempt))
        return counted


def delivery_writing(database: Database) -> DeliveryWriting:
    return PostgresqlDeliveryWriting() if database.is_postgresql else SqliteDeliveryWriting()


def _qualified_origin(made: Delivery) -> str:
    return qualified_origin(made.item.origin, made.item.source)


def _item_row(made: Delivery, row: dict[str, Any], plain: bool) -> dict[str, Any]:
    """The item row of a delivery whose own row is `row`."""
    key = dict(zip(_KEYS, made.key, strict=True)) | {"delivery_id": made.id, "number": 1, "source": made.item.source}
    if plain:
        return key
    event = {name: row[name] for name in ("type", "profile", "event_time", "subject", "template", "order_id")}
    return key | event | {"payload": made.item.payload, "options": options_text(made.item)}


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    attempt = outcome.attempt
    return {
        "delivery_id": outcome.claim.delivery.id,
        "lease": outcome.claim.lease,
        "status": outcome.status,
        "error_message": outcome.error,
        "retry_in": timedelta(seconds=outcome.retry_in),
        "counts": int(outcome.counts),
        "awaited_peer": outcome.awaited_peer,
        "at": attempt and attempt.at,
        "seconds": attempt and attempt.seconds,
        "result": attempt and attempt.result,
        "code": attempt and attempt.code,
        "reply": attempt and attempt.text,
    }


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The rows as column parameters of the statements above."""
    return {f"{name}_": [row[name] for row in rows] for name in rows[0]}
