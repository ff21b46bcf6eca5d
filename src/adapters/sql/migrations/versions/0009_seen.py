"""Inboxes have a watermark: the position up to which their users have seen the notifications."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = ("seen_seq", "seen_changed", "seen_unread", "seen_counted")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("inboxes", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("inboxes", name)
