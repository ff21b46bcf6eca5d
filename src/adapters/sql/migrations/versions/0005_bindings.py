"""Bindings of RabbitMQ queues: one row for each node that has claimed a binding."""

import sqlalchemy as sa
from advanced_alchemy.types import DateTimeUTC
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bindings",
        sa.Column("vhost", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("is_wanted", sa.Boolean(), nullable=False),
        sa.Column("wanted_at", DateTimeUTC(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("vhost", "queue", "exchange", "key", "node", name="pk_bindings"),
    )


def downgrade() -> None:
    op.drop_table("bindings")
