"""The offsets at which Kafka consumer groups start to read topics, and the patterns that were configured for them."""

import sqlalchemy as sa
from advanced_alchemy.types import DateTimeUTC
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = DateTimeUTC(timezone=True)


def upgrade() -> None:
    op.create_table(
        "kafka_patterns",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("configured_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "name", "pattern", name="pk_kafka_patterns"),
    )
    op.create_table(
        "kafka_start_offsets",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("start_offset", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "name", "topic", "partition", name="pk_kafka_start_offsets"),
    )


def downgrade() -> None:
    op.drop_table("kafka_start_offsets")
    op.drop_table("kafka_patterns")
