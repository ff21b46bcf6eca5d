"""Deliveries of any channel, with their items in a table of their own.

This revision only adds, so nodes of the previous version continue to send e-mail. They claim rows that are `pending`,
and do not know the status `waiting`. But two of their statements would harm a waiting row: a manual retry makes it
pending, and pruning deletes it as ended. Triggers prevent both. The triggers, and the columns of `deliveries` that
repeat an item, can be removed when no node of that version runs any more.
"""

import sqlalchemy as sa
from advanced_alchemy.types import GUID, DateTimeUTC
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = DateTimeUTC(timezone=True)
WAITING = sa.text("status = 'waiting'")
UNKNOWN_BEFORE = "(NEW.channel <> 'email' OR NEW.format <> 1)"

POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION guard_waiting_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RETURN NULL;
        END IF;
        NEW.status := 'waiting';
        RETURN NEW;
    END $$
    """,
    f"""
    CREATE TRIGGER deliveries_retried BEFORE UPDATE OF status ON deliveries FOR EACH ROW
    WHEN (NEW.status = 'pending' AND {UNKNOWN_BEFORE}) EXECUTE FUNCTION guard_waiting_deliveries()
    """,
    """
    CREATE TRIGGER deliveries_pruned BEFORE DELETE ON deliveries FOR EACH ROW
    WHEN (OLD.status = 'waiting') EXECUTE FUNCTION guard_waiting_deliveries()
    """,
)
SQLITE_TRIGGERS = (
    f"""
    CREATE TRIGGER deliveries_retried AFTER UPDATE OF status ON deliveries
    WHEN NEW.status = 'pending' AND {UNKNOWN_BEFORE}
    BEGIN UPDATE deliveries SET status = 'waiting' WHERE id = NEW.id; END
    """,  # noqa: S608 - our own names
    """
    CREATE TRIGGER deliveries_pruned BEFORE DELETE ON deliveries WHEN OLD.status = 'waiting'
    BEGIN SELECT RAISE(IGNORE); END
    """,
    # For connections without `PRAGMA foreign_keys`, on which the foreign key does not delete the items.
    """
    CREATE TRIGGER deliveries_deleted AFTER DELETE ON deliveries
    BEGIN DELETE FROM delivery_items WHERE delivery_id = OLD.id; END
    """,
)


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("channel", sa.Text(), server_default="email", nullable=False))
    op.add_column("deliveries", sa.Column("format", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("deliveries", sa.Column("awaited_peer", sa.Text()))
    op.create_table(
        "delivery_items",
        sa.Column("delivery_id", GUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text()),
        sa.Column("profile", sa.Text()),
        sa.Column("payload", sa.Text()),
        sa.Column("event_time", MOMENT),
        sa.Column("subject", sa.Text()),
        sa.Column("template", sa.Text()),
        sa.Column("order_id", sa.Text()),
        sa.Column("options", sa.Text()),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_delivery_items"),
        sa.UniqueConstraint(
            *("channel", "destination", "origin", "event_id"),
            name="uq_delivery_items_channel_destination_origin_event_id",
        ),
        # Checked at the end of the transaction: items are inserted first, and if an item exists, no delivery is added.
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name="fk_delivery_items_delivery_id_deliveries",
            ondelete="CASCADE",
            deferrable=True,
            initially="DEFERRED",
        ),
    )
    for trigger in POSTGRESQL_TRIGGERS if op.get_context().dialect.name == "postgresql" else SQLITE_TRIGGERS:
        op.execute(trigger)
    # The table is in use, so the index is built concurrently.
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_deliveries_waiting",
            "deliveries",
            ["channel", "due_at"],
            postgresql_where=WAITING,
            sqlite_where=WAITING,
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    is_postgresql = op.get_context().dialect.name == "postgresql"
    for name in ("deliveries_retried", "deliveries_pruned", *(() if is_postgresql else ("deliveries_deleted",))):
        op.execute(f"DROP TRIGGER {name}{' ON deliveries' if is_postgresql else ''}")
    if is_postgresql:
        op.execute("DROP FUNCTION guard_waiting_deliveries")
    op.drop_index("ix_deliveries_waiting", "deliveries")
    op.drop_table("delivery_items")
    unknown = "SELECT id FROM deliveries WHERE channel <> 'email' OR format <> 1"
    op.execute(f"DELETE FROM delivery_attempts WHERE delivery_id IN ({unknown})")  # noqa: S608 - our own names
    op.execute(f"DELETE FROM deliveries WHERE id IN ({unknown})")  # noqa: S608 - our own names
    for name in ("awaited_peer", "format", "channel"):
        op.drop_column("deliveries", name)
