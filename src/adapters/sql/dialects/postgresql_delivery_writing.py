"""Implements DeliveryWriting for PostgreSQL. Each statement has one array parameter for each column, so it writes any
number of rows in one round trip."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, DateTime, Double, Interval, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from adapters.sql.delivery_rows import EMAIL, delivery_row, is_plain, options_text
from adapters.sql.dialects.delivery_parameters import KEY_COLUMNS, outcome_row, qualified_origin_of
from adapters.sql.dialects.dialect import Key
from adapters.sql.text_statement import statement
from application.ports.deliveries import Outcome
from domain.deliveries import Delivery

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
    "url": _TEXTS,
    "created_at": _MOMENTS,
    "updated_at": _MOMENTS,
    "due_at": _MOMENTS,
    "channel": _TEXTS,
    "format": _NUMBERS,
}

# Additional columns for the delivery's item. `qualified` is the qualified origin of the event. `plain` is true if the
# event is stored in the delivery's own row. `place` is the index of the delivery, which preserves the order.
# `payload_number` is the index of the payload in `payloads`, counted from 1.
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


# Inserts the items first, and a delivery only if its item was inserted. Each payload is sent to the database once,
# however many destinations it has, and joined by number.
_ADD: Final = statement(
    f"""
    WITH new AS (
        SELECT d.*, p.payload
        FROM unnest({_parameters(_NEW)}) AS d({", ".join(_NEW)})
        JOIN unnest(:payloads) WITH ORDINALITY AS p(payload, number) ON p.number = d.payload_number
    ), items AS (
        INSERT INTO delivery_items (
            delivery_id, number, channel, destination, origin, event_id, source, type, profile, payload, event_time,
            subject, template, order_id, url, options
        )
        SELECT n.id, 1, n.channel, n.recipient, n.item_origin, n.event_id, n.source,
            CASE WHEN NOT n.plain THEN n.type END, CASE WHEN NOT n.plain THEN n.profile END,
            CASE WHEN NOT n.plain THEN n.payload END, CASE WHEN NOT n.plain THEN n.event_time END,
            CASE WHEN NOT n.plain THEN n.subject END, CASE WHEN NOT n.plain THEN n.template END,
            CASE WHEN NOT n.plain THEN n.order_id END, CASE WHEN NOT n.plain THEN n.url END, n.options
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

_KEYS: Final[dict[str, TypeEngine[Any]]] = dict.fromkeys(KEY_COLUMNS, _TEXTS)

# The sources of stored deliveries, by key. Also searches `deliveries`, because deliveries that nodes of the previous
# version have added have no items.
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


class PostgresqlDeliveryWriting:
    """Implements DeliveryWriting for PostgreSQL."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        numbers: dict[str, int] = {}
        for one in made:
            numbers.setdefault(one.item.payload, len(numbers) + 1)
        rows = [
            {
                **delivery_row(one),
                "item_origin": one.item.origin,
                "qualified": qualified_origin_of(one),
                "options": options_text(one.item),
                "plain": is_plain(one.channel),
                "place": place,
                "payload_number": numbers[one.item.payload],
            }
            for place, one in enumerate(made)
        ]
        found = (await connection.execute(_ADD, _lists(rows) | {"payloads": list(numbers)})).all()
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
        rows = sorted((outcome_row(one) for one in outcomes), key=lambda row: row["delivery_id"])
        return await connection.scalar(_RECORD, _lists(rows)) or 0


def _lists(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Converts rows to parameters of a statement: one list for each column, under the name of the column with `_`
    appended."""
    return {f"{name}_": [row[name] for row in rows] for name in rows[0]}
