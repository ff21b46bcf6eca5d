"""Deliveries: e-mails, each to one address, and the attempts to send them."""

import sqlalchemy as sa
from advanced_alchemy.types import GUID, DateTimeUTC
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = DateTimeUTC(timezone=True)
ENDED = sa.text("status <> 'pending'")


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", GUID(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_message", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("event_time", MOMENT, nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("order_id", sa.Text()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("strikes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("awaits_server", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("lease", GUID()),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("origin", "event_id", "recipient", name="uq_deliveries_origin_event_id_recipient"),
    )
    op.create_index("ix_deliveries_status_due_at", "deliveries", ["status", "due_at"])
    op.create_index(
        "ix_deliveries_ended", "deliveries", ["created_at", "id"], postgresql_where=ENDED, sqlite_where=ENDED
    )
    op.create_index("ix_deliveries_status_id", "deliveries", ["status", "id"])
    op.create_index("ix_deliveries_recipient_id", "deliveries", ["recipient", "id"])
    op.create_index("ix_deliveries_order_id_id", "deliveries", ["order_id", "id"])
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", GUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("code", sa.BigInteger()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_delivery_attempts"),
    )


def downgrade() -> None:
    op.drop_table("delivery_attempts")
    op.drop_table("deliveries")
