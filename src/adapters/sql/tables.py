"""The tables. Migrations create them (see `migrations`); a test checks that both agree.

`notifications` and `notification_preferences` have the names and columns that existing tools expect. User ids are text,
because not every service uses UUIDs for users. The length of most texts is limited only by the domain. If a text is too
long for an index, the database rejects it, and the event becomes a dead letter.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.types import GUID, DateTimeUTC, JsonB
from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from adapters.sql.notification_state import state_predicate
from domain.notification_state import UNREAD

_NAMES = {
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_UNREAD = state_predicate(UNREAD)
_ENDED = text("status <> 'pending'")
_WAITING = text("status = 'waiting'")
_OF_A_USER = text("user_id IS NOT NULL")


class Base(CommonTableAttributes, DeclarativeBase):
    """The base of all tables: names of constraints, and types that are the same on both databases."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy has it
        datetime: DateTimeUTC(timezone=True),
        UUID: GUID(),
        int: BigInteger(),
        str: Text(),
        bytes: LargeBinary(),
        dict[str, Any]: JsonB,
        list[str]: JsonB,
    }


class InboxRow(Base):
    """A user's counters. Every change in an inbox locks this row first.

    `entry_count` is the number of stored notifications, including archived ones, and `oldest_at` is when the oldest of
    them was stored; retention finds the inboxes to prune by these two. `qualified_seq` is the position of the latest
    entry stored under a qualified origin: an inbox without such entries need not be searched for them.

    The columns that change are not indexed, and the migration leaves half of each page free, so that a new version of a
    row fits beside the old one (PostgreSQL's HOT updates).
    """

    __tablename__ = "inboxes"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int] = mapped_column(server_default="0")
    pruned_seq: Mapped[int] = mapped_column(server_default="0")
    unread_count: Mapped[int] = mapped_column(server_default="0")
    entry_count: Mapped[int] = mapped_column(server_default="0")
    oldest_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    qualified_seq: Mapped[int] = mapped_column(server_default="0")


class NotificationRow(Base):
    """One event in one inbox. `body` is the text that clients receive; `data` has the same as JSON, for SQL queries."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("user_id", "seq"),
        UniqueConstraint("user_id", "origin", "event_id"),
        Index(None, "user_id", "changed", "seq"),
        Index(None, "user_id", "notification_type", "seq"),
        Index(None, "user_id", "created_at"),
        Index("ix_notifications_unread", "user_id", "seq", postgresql_where=_UNREAD, sqlite_where=_UNREAD),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    title: Mapped[str] = mapped_column(String(255))
    message: Mapped[str]
    notification_type: Mapped[str] = mapped_column(String(255))
    event_type: Mapped[str | None] = mapped_column(String(255))
    data: Mapped[dict[str, Any] | None]
    is_read: Mapped[bool] = mapped_column(server_default=false())
    is_archived: Mapped[bool] = mapped_column(server_default=false())
    is_muted: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    seq: Mapped[int]
    changed: Mapped[int]
    origin: Mapped[str]
    event_id: Mapped[str]
    source: Mapped[str]
    profile: Mapped[str]
    envelope: Mapped[str]
    body: Mapped[str]
    event_time: Mapped[datetime]


class FeedRow(Base):
    """A feed's counters. The columns have the same meaning as those of an inbox."""

    __tablename__ = "feeds"

    name: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int] = mapped_column(server_default="0")
    pruned_seq: Mapped[int] = mapped_column(server_default="0")
    entry_count: Mapped[int] = mapped_column(server_default="0")
    oldest_at: Mapped[datetime | None]
    qualified_seq: Mapped[int] = mapped_column(server_default="0")


class BroadcastRow(Base):
    """One event in one feed."""

    __tablename__ = "broadcasts"
    __table_args__ = (
        UniqueConstraint("feed", "seq"),
        UniqueConstraint("feed", "origin", "event_id"),
        Index(None, "feed", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    feed: Mapped[str]
    seq: Mapped[int]
    origin: Mapped[str]
    event_id: Mapped[str]
    source: Mapped[str]
    type: Mapped[str]
    event_type: Mapped[str | None]
    profile: Mapped[str]
    envelope: Mapped[str]
    body: Mapped[str]
    event_time: Mapped[datetime]
    created_at: Mapped[datetime]


class PreferencesRow(Base):
    """A user's preferences. Users without a row have the defaults."""

    __tablename__ = "notification_preferences"
    __table_args__ = (UniqueConstraint("user_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    email_notifications: Mapped[bool] = mapped_column(server_default=true())
    push_notifications: Mapped[bool] = mapped_column(server_default=true())
    websocket_notifications: Mapped[bool] = mapped_column(server_default=true())
    muted_types: Mapped[list[str]] = mapped_column(server_default=text("'[]'"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class DeadLetterRow(Base):
    """An event that could not be processed. `letter` is the complete dead letter as MessagePack, exact to the byte. The
    other columns repeat its searchable fields in characters that a database can store. `identity` is the SHA-256 digest
    of the event's origin and id, which a text column might refuse.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("identity"), Index(None, "kept_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    identity: Mapped[bytes]
    source: Mapped[str]
    event_id: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    times: Mapped[int] = mapped_column(server_default="1")
    letter: Mapped[bytes]
    kept_at: Mapped[datetime]


class DeliveryRow(Base):
    """One delivery to one destination (`recipient`). `due_at` is the time of a pending delivery's next attempt. A claim
    sets it to the end of the lease, so that the delivery becomes due again if the process dies. `awaits_server` is true
    if the peer was unavailable at the last attempt; `awaited_peer` is the name of that peer.

    Nodes of the previous version can send e-mail only, and claim every row that is `pending` and due. So a pending row
    of another channel, or of a later `format`, has the status `waiting`.

    An e-mail row of format 1 contains the event, in the columns that those nodes read: `origin`, `event_id`, `source` …
    `payload`. For all other rows, the event is in `delivery_items`. These columns then repeat only what lists of
    deliveries show; `origin` is the delivery's own id, and `payload` is empty.

    `payload` is the event's JSON text as it was published. It is not of type jsonb, which does not accept every JSON
    text.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("origin", "event_id", "recipient"),
        Index(None, "status", "due_at"),
        Index("ix_deliveries_ended", "created_at", "id", postgresql_where=_ENDED, sqlite_where=_ENDED),
        Index(None, "status", "id"),
        Index(None, "recipient", "id"),
        Index(None, "order_id", "id"),
        Index(None, "user_id", "id", postgresql_where=_OF_A_USER, sqlite_where=_OF_A_USER),
        Index(None, "event_id", "id"),
        Index("ix_deliveries_waiting", "channel", "due_at", postgresql_where=_WAITING, sqlite_where=_WAITING),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    origin: Mapped[str]
    event_id: Mapped[str]
    recipient: Mapped[str]
    status: Mapped[str]
    error_message: Mapped[str | None]
    source: Mapped[str]
    type: Mapped[str]
    profile: Mapped[str]
    payload: Mapped[str]
    event_time: Mapped[datetime]
    subject: Mapped[str | None]
    template: Mapped[str]
    user_id: Mapped[str | None]
    order_id: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    strikes: Mapped[int] = mapped_column(server_default="0")
    awaits_server: Mapped[bool] = mapped_column(server_default=false())
    lease: Mapped[UUID | None]
    unrendered_since: Mapped[datetime | None]
    channel: Mapped[str] = mapped_column(server_default="email")
    format: Mapped[int] = mapped_column(server_default="1")
    awaited_peer: Mapped[str | None]


class DeliveryItemRow(Base):
    """One event in a delivery. It is deleted with the delivery. The unique key ensures that an event is delivered only
    once to each destination of a channel. The columns from `type` on are null if the delivery's own row has the event
    (see DeliveryRow)."""

    __tablename__ = "delivery_items"
    __table_args__ = (UniqueConstraint("channel", "destination", "origin", "event_id"),)

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    destination: Mapped[str]
    origin: Mapped[str]
    event_id: Mapped[str]
    source: Mapped[str]
    type: Mapped[str | None]
    profile: Mapped[str | None]
    payload: Mapped[str | None]
    event_time: Mapped[datetime | None]
    subject: Mapped[str | None]
    template: Mapped[str | None]
    order_id: Mapped[str | None]
    options: Mapped[str | None]


class AttemptRow(Base):
    """One attempt at a delivery. It is deleted with the delivery."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    seconds: Mapped[float]
    result: Mapped[str]
    code: Mapped[int | None]
    text: Mapped[str]


class StateRow(Base):
    """A named value about the store itself. The only one is `epoch`."""

    __tablename__ = "store_state"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class KafkaPatternRow(Base):
    """The time when a pattern of the routes was first configured for a consumer group (`name`) of a Kafka cluster."""

    __tablename__ = "kafka_patterns"

    cluster: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    pattern: Mapped[str] = mapped_column(primary_key=True)
    configured_at: Mapped[datetime]


class KafkaStartOffsetRow(Base):
    """The offset at which a consumer group (`name`) starts on a partition without a committed offset."""

    __tablename__ = "kafka_start_offsets"

    cluster: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    start_offset: Mapped[int]
    decided_at: Mapped[datetime]


class BindingRow(Base):
    """A node's claim on a binding of a RabbitMQ queue. `wanted_at` is when the node last renewed the claim. `is_wanted`
    is false if the node's latest renewal did not include this binding."""

    __tablename__ = "bindings"

    vhost: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    exchange: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(primary_key=True)
    is_wanted: Mapped[bool]
    wanted_at: Mapped[datetime]
