"""Counters store the position of the latest entry with a qualified origin."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("inboxes", "feeds"):
        op.add_column(table, sa.Column("qualified_seq", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    for table in ("feeds", "inboxes"):
        op.drop_column(table, "qualified_seq")
