"""Declares the tables. Migrations create them (see `migrations`); a test checks that both are the same.

`notifications` and `notification_preferences` have the names and columns that existing tools expect. User ids are text,
because not every service has UUIDs for its users. Most text columns have no maximum length: the domain limits the
lengths. If a text is too long for an index nevertheless, the database refuses it, and the event becomes a dead letter.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.types import GUID, DateTimeUTC, JsonB
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from adapters.sql.state_columns import state_predicate
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
    """The base class of all tables. Defines how constraints are named, and the column type of each Python type, the
    same on PostgreSQL and SQLite."""

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
    """The counters of one user's inbox. Every transaction that changes the inbox locks this row first.

    `last_seq`, `pruned_seq`, `unread_count`, `not_before`, `seen_seq`, `seen_changed` and `seen_unread` are the fields
    of Head. `entry_count` is the number of stored notifications, including archived ones, and `oldest_at` the time at
    which the oldest of them was stored: retention uses both to find the inboxes to prune. `qualified_seq` is the
    position of the latest entry stored under a qualified origin (see domain.event_identity). `seen_counted` says
    whether `seen_unread` is correct (see adapters.sql.seen_columns).

    The columns that change are not indexed, and the migration leaves half of each page free, so that PostgreSQL can
    update a row without touching an index (HOT updates).
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
    seen_seq: Mapped[int] = mapped_column(server_default="0")
    seen_changed: Mapped[int] = mapped_column(server_default="0")
    seen_unread: Mapped[int] = mapped_column(server_default="0")
    seen_counted: Mapped[int] = mapped_column(server_default="0")


class NotificationRow(Base):
    """One notification. `body` is the text that clients receive; `data` repeats it as JSON, for people who query the
    table."""

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
    url: Mapped[str | None]


class FeedRow(Base):
    """The counters of one feed. The columns have the same meaning as in InboxRow."""

    __tablename__ = "feeds"

    name: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int] = mapped_column(server_default="0")
    pruned_seq: Mapped[int] = mapped_column(server_default="0")
    entry_count: Mapped[int] = mapped_column(server_default="0")
    oldest_at: Mapped[datetime | None]
    qualified_seq: Mapped[int] = mapped_column(server_default="0")


class BroadcastRow(Base):
    """One broadcast: an event in a feed."""

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
    """The preferences of one user. A user without a row has the default preferences."""

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
    """One dead letter. `letter` is the complete dead letter as MessagePack. The other columns repeat the fields that
    can be searched; characters that a database might refuse are replaced there. `identity` is the SHA-256 digest of the
    event's origin and id, because the id itself may contain such characters."""

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
    """One delivery. `recipient` is its destination. `due_at` is when a pending delivery is attempted next; a claim sets
    it to the end of the lease, so that the delivery is due again if the node dies. `awaits_server` is true if the peer
    was unavailable at the last attempt, and `awaited_peer` is the name of this peer. `strikes` is the number of counted
    attempts.

    During an upgrade, nodes of the previous version of Herald use this table, too. They send e-mail only, and claim
    every due row with the status `pending`. So pending deliveries that they can't send (other channels, or a later
    `format`) have the status `waiting` instead.

    An e-mail of format 1 has its event in this row, where those nodes read it: `origin`, `event_id`, `source` …
    `payload`. All other deliveries have it in `delivery_items`; then `payload` is empty, `origin` is the delivery's own
    id, and the other columns repeat the event only to be listed.

    `payload` is the JSON text of the event, as published. It is not of type jsonb, which does not accept every JSON
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
    url: Mapped[str | None]


class DeliveryItemRow(Base):
    """The event of a delivery. The row is deleted with the delivery. The unique key prevents a second delivery of the
    same event to the same destination of a channel. If the event is in the delivery's own row (see DeliveryRow), the
    columns from `type` on are null."""

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
    url: Mapped[str | None]


class AttemptRow(Base):
    """One attempt at a delivery. Deleted with the delivery."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    seconds: Mapped[float]
    result: Mapped[str]
    code: Mapped[int | None]
    text: Mapped[str]


class StateRow(Base):
    """A named value about the store itself. There is one row: the value of `epoch`."""

    __tablename__ = "store_state"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class KafkaPatternRow(Base):
    """The time at which a topic pattern of the routes was first configured for a Kafka consumer group. `cluster` and
    `name` identify the group."""

    __tablename__ = "kafka_patterns"

    cluster: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    pattern: Mapped[str] = mapped_column(primary_key=True)
    configured_at: Mapped[datetime]


class KafkaStartOffsetRow(Base):
    """The offset at which a Kafka consumer group begins to read a partition, if the group has no committed offset
    there. `cluster` and `name` identify the group."""

    __tablename__ = "kafka_start_offsets"

    cluster: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    start_offset: Mapped[int]
    decided_at: Mapped[datetime]


class BindingRow(Base):
    """The record that a node needs a binding of a RabbitMQ queue. `wanted_at` is the last time at which the node needed
    the binding; `is_wanted` is false if the node's latest `Bindings.renew` did not include the binding any more."""

    __tablename__ = "bindings"

    vhost: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    exchange: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(primary_key=True)
    is_wanted: Mapped[bool]
    wanted_at: Mapped[datetime]


# Which streams have changed: one row for each statement that has inserted or updated rows of `inboxes` or `feeds`.
# Triggers insert these rows (see `stream_move_triggers`), so the changes of nodes of the previous version of Herald are
# recorded, too. On SQLite, there are no such triggers and the table stays empty. `transaction_id` is the transaction of
# the statement, `streams` a JSON array of names of streams, and `at` the time at which the transaction began, by the
# clock of the database.
STREAM_MOVES: Final = Table(
    "stream_moves",
    Base.metadata,
    Column("transaction_id", BigInteger(), nullable=False, index=True),
    Column("streams", Text(), nullable=False),
    Column("at", DateTimeUTC(timezone=True), nullable=False),
)
