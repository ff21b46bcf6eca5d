"""Converts deliveries to rows of `deliveries`, and rows to deliveries. During an upgrade, nodes of the previous version
of Herald read and write these rows, too (see DeliveryRow)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, and_, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.queries import deliveries, delivery_items
from domain.deliveries import Delivery, Item, Status
from domain.preferences import Preferences

# The only channel that nodes of the previous version can send through.
EMAIL: Final = "email"

# The latest format of a delivery that this version can process. Only nodes of a later version claim rows of a later
# format.
FORMAT: Final = 1

# Stored statuses of a pending delivery: PENDING if nodes of the previous version may claim it, else WAITING.
PENDING: Final = "pending"
WAITING: Final = "waiting"

_EVENT: Final = ("source", "type", "profile", "payload", "event_time", "subject", "template", "order_id", "url")
_ITEM: Final = ("origin", "event_id", *_EVENT)
_DELIVERY: Final = (
    *("id", "channel", "recipient", "status", "error_message", "created_at", "updated_at", "due_at", "sent_at"),
    *("attempts", "strikes", "user_id", "unrendered_since"),
)
COLUMNS: Final = [deliveries.c[name] for name in (*_DELIVERY, "format", *_ITEM)]

IS_PENDING: Final = deliveries.c.status.in_((PENDING, WAITING))
# The stored status of a row that becomes pending again.
PENDING_AGAIN: Final[ColumnElement[str]] = case(
    (and_(deliveries.c.channel == EMAIL, deliveries.c.format == 1), PENDING), else_=WAITING
)


def is_plain(channel: str, format: int = FORMAT) -> bool:
    """Returns whether nodes of the previous version of Herald can process a delivery of this channel and format: only
    an e-mail with format 1. The row of such a delivery contains its event; all other deliveries have it in
    `delivery_items` (see DeliveryRow)."""
    return channel == EMAIL and format == 1


def pending_status(channel: str) -> str:
    """Returns the value of the column `status` for a pending delivery of this channel: `pending` for e-mail, else
    `waiting`, which nodes of the previous version of Herald do not claim."""
    return PENDING if is_plain(channel) else WAITING


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """Returns the columns of a new delivery's row in `deliveries`, except `payload`, which the caller adds."""
    item, plain = delivery.item, is_plain(delivery.channel)
    return {
        "id": delivery.id,
        "origin": item.origin if plain else str(delivery.id),
        "event_id": item.event_id,
        "recipient": delivery.destination,
        "status": pending_status(delivery.channel) if delivery.status == "pending" else delivery.status,
        "error_message": delivery.error,
        "source": item.source,
        "type": item.type,
        "profile": item.profile,
        "event_time": item.time,
        "subject": item.subject,
        "template": item.template,
        "user_id": delivery.user,
        "order_id": item.reference,
        "url": item.url,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
        "due_at": delivery.due_at,
        "channel": delivery.channel,
        "format": FORMAT,
    }


def options_text(item: Item) -> str | None:
    """Returns the item's options as JSON text; None if the item has no options."""
    return msgspec.json.encode(item.options).decode() if item.options else None


def delivery_preferences(row: Row[Any]) -> Preferences:
    """Returns the preferences that affect deliveries. `row` has the columns DELIVERY_PREFERENCES."""
    return Preferences(
        email_notifications=row.email_notifications,
        push_notifications=row.push_notifications,
        muted_types=tuple(row.muted_types),
    )


async def read_deliveries(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Delivery]:
    """Converts rows of `deliveries` to deliveries, in the order of the rows. The rows have the columns COLUMNS. Events
    that are not in these rows are read from `delivery_items`."""
    elsewhere = [row.id for row in rows if not is_plain(row.channel, row.format)]
    items = await _read_items(connection, elsewhere) if elsewhere else {}
    return [_delivery(row, items.get(row.id)) for row in rows]


async def _read_items(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, tuple[Item, ...]]:
    columns = delivery_items.c
    statement = select(columns.delivery_id, *(columns[name] for name in (*_ITEM, "options")))
    statement = statement.where(columns.delivery_id.in_(ids)).order_by(columns.delivery_id, columns.number)
    found: dict[UUID, tuple[Item, ...]] = {}
    for row in await connection.execute(statement):
        found[row.delivery_id] = (*found.get(row.delivery_id, ()), _item(row._mapping))
    return found


def _item(row: Mapping[Any, Any]) -> Item:
    options = row.get("options")
    return Item(
        origin=row["origin"],
        event_id=row["event_id"],
        source=row["source"],
        type=row["type"],
        profile=row["profile"],
        payload=row["payload"],
        time=row["event_time"],
        subject=row["subject"],
        template=row["template"],
        reference=row["order_id"],
        options=msgspec.json.decode(options) if options else {},
        url=row["url"],
    )


def _delivery(row: Row[Any], items: tuple[Item, ...] | None) -> Delivery:
    """Returns the delivery of a row. `items` are its rows of `delivery_items`. If `items` is None, the event is read
    from the row itself: for e-mail, and for a delivery whose items were deleted after the row was read."""
    status: Status = PENDING if row.status == WAITING else row.status
    return Delivery(
        id=row.id,
        channel=row.channel,
        destination=row.recipient,
        items=items or (_item(row._mapping),),
        status=status,
        error=row.error_message,
        created_at=row.created_at,
        updated_at=row.updated_at,
        due_at=row.due_at,
        sent_at=row.sent_at,
        attempts=row.attempts,
        counted_attempts=row.strikes,
        user=row.user_id,
        unrendered_since=row.unrendered_since,
    )
