"""A column for deliveries whose template a node lacks, and indexes to list deliveries by user and by event."""

import sqlalchemy as sa
from advanced_alchemy.types import DateTimeUTC
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OF_A_USER = sa.text("user_id IS NOT NULL")


def upgrade() -> None:
    # Nodes of the previous version neither read nor write this column; it is null in their rows.
    op.add_column("deliveries", sa.Column("unrendered_since", DateTimeUTC(timezone=True)))
    # The table is in use, so the indexes are built concurrently.
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_deliveries_user_id_id",
            "deliveries",
            ["user_id", "id"],
            postgresql_where=OF_A_USER,
            sqlite_where=OF_A_USER,
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "ix_deliveries_event_id_id",
            "deliveries",
            ["event_id", "id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("ix_deliveries_event_id_id", "deliveries")
    op.drop_index("ix_deliveries_user_id_id", "deliveries")
    op.drop_column("deliveries", "unrendered_since")
