"""The store: inboxes and feeds with their positions, notifications, broadcasts, preferences, dead letters."""

from uuid import uuid4

import sqlalchemy as sa
from advanced_alchemy.types import GUID, DateTimeUTC, JsonB
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = DateTimeUTC(timezone=True)
UNREAD = sa.text("NOT is_read AND NOT is_archived")


def upgrade() -> None:
    op.create_table(
        "inboxes",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pruned_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unread_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("entry_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("oldest_at", MOMENT),
        sa.Column("not_before", MOMENT),
        sa.PrimaryKeyConstraint("user_id", name="pk_inboxes"),
    )
    op.create_table(
        "notifications",
        sa.Column("id", GUID(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("notification_type", sa.String(255), nullable=False),
        sa.Column("event_type", sa.String(255)),
        sa.Column("data", JsonB),
        sa.Column("is_read", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_archived", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_muted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("event_time", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("user_id", "seq", name="uq_notifications_user_id_seq"),
        sa.UniqueConstraint("user_id", "origin", "event_id", name="uq_notifications_user_id_origin_event_id"),
    )
    op.create_index("ix_notifications_user_id_changed_seq", "notifications", ["user_id", "changed", "seq"])
    op.create_index(
        "ix_notifications_user_id_notification_type_seq", "notifications", ["user_id", "notification_type", "seq"]
    )
    op.create_index("ix_notifications_user_id_created_at", "notifications", ["user_id", "created_at"])
    op.create_index(
        "ix_notifications_unread", "notifications", ["user_id", "seq"], postgresql_where=UNREAD, sqlite_where=UNREAD
    )
    op.create_table(
        "feeds",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pruned_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("entry_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("oldest_at", MOMENT),
        sa.PrimaryKeyConstraint("name", name="pk_feeds"),
    )
    op.create_table(
        "broadcasts",
        sa.Column("id", GUID(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text()),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("event_time", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_broadcasts"),
        sa.UniqueConstraint("feed", "seq", name="uq_broadcasts_feed_seq"),
        sa.UniqueConstraint("feed", "origin", "event_id", name="uq_broadcasts_feed_origin_event_id"),
    )
    op.create_index("ix_broadcasts_feed_created_at", "broadcasts", ["feed", "created_at"])
    op.create_table(
        "notification_preferences",
        sa.Column("id", GUID(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("email_notifications", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("push_notifications", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("websocket_notifications", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("muted_types", JsonB, server_default=sa.text("'[]'"), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notification_preferences"),
        sa.UniqueConstraint("user_id", name="uq_notification_preferences_user_id"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", GUID(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("letter", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
        sa.UniqueConstraint("identity", name="uq_dead_letters_identity"),
    )
    op.create_index("ix_dead_letters_kept_at", "dead_letters", ["kept_at"])
    state = op.create_table(
        "store_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_store_state"),
    )
    # The epoch: a random name for the history of this store.
    op.bulk_insert(state, [{"name": "epoch", "value": uuid4().hex[-12:]}])
    if op.get_bind().dialect.name == "postgresql":
        # Every batch updates these rows, but none of their indexed columns. With free space for the new version on the
        # same page, no index has to be updated. Models can't express this setting.
        for table in ("inboxes", "feeds"):
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")


def downgrade() -> None:
    for table in (
        "store_state",
        "dead_letters",
        "notification_preferences",
        "broadcasts",
        "feeds",
        "notifications",
        "inboxes",
    ):
        op.drop_table(table)
