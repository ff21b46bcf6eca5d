"""Notifications and deliveries have a URL: the address that they link to."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("notifications", "deliveries", "delivery_items")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("url", sa.Text()))


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_column(table, "url")
