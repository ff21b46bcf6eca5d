"""Implements DeliveryWriting for SQLite, with statements for each delivery."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, insert, select, union_all, update
from sqlalchemy.dialects.sqlite import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.delivery_rows import EMAIL, delivery_row, is_plain, options_text
from adapters.sql.dialects.delivery_parameters import KEY_COLUMNS, outcome_row, qualified_origin_of
from adapters.sql.dialects.dialect import Key
from adapters.sql.queries import attempts as attempts_table
from adapters.sql.queries import deliveries as deliveries_table
from adapters.sql.queries import delivery_items as items_table
from application.ports.deliveries import Outcome
from domain.deliveries import Delivery

# The source of the stored delivery with a key. Deliveries that nodes of the previous version have added have no items.
_OF_KEY: Final = union_all(
    select(items_table.c.source).where(*(items_table.c[name] == bindparam(name) for name in KEY_COLUMNS)),
    select(deliveries_table.c.source).where(
        bindparam("channel") == EMAIL,
        deliveries_table.c.recipient == bindparam("destination"),
        *(deliveries_table.c[name] == bindparam(name) for name in ("origin", "event_id")),
    ),
)


class SqliteDeliveryWriting:
    """Implements DeliveryWriting for SQLite."""

    async def add(self, connection: AsyncConnection, made: Sequence[Delivery]) -> set[UUID]:
        add_delivery = insert_or_not(deliveries_table).on_conflict_do_nothing()
        add_item = insert(items_table)
        new = set()
        for one in made:
            qualified = (one.channel, one.destination, qualified_origin_of(one), one.item.event_id)
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
            source = await connection.scalar(_OF_KEY, dict(zip(KEY_COLUMNS, key, strict=True)))
            if source is not None:
                found[key] = source
        return found

    async def record_outcomes(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
        counted = 0
        for outcome in outcomes:
            row = outcome_row(outcome)
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


def _item_row(made: Delivery, row: dict[str, Any], plain: bool) -> dict[str, Any]:
    """Returns the row in `delivery_items` of a new delivery. `row` is the delivery's row in `deliveries`; `plain` is
    the result of `is_plain`: if True, the event is in `row`, and the item repeats only its key and source."""
    key = dict(zip(KEY_COLUMNS, made.key, strict=True)) | {
        "delivery_id": made.id,
        "number": 1,
        "source": made.item.source,
    }
    if plain:
        return key
    event = {name: row[name] for name in ("type", "profile", "event_time", "subject", "template", "order_id", "url")}
    return key | event | {"payload": made.item.payload, "options": options_text(made.item)}
