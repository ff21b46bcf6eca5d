"""PostgreSQL records which streams have changed: the table `stream_moves`, filled by triggers.

Nodes then read what has changed since they read last, instead of comparing each stream that they follow. The triggers
also record the changes of nodes of the previous version. On SQLite, the table stays empty.
"""

import sqlalchemy as sa
from advanced_alchemy.types import DateTimeUTC
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ACTS = ("insert", "update")
STREAMS = (("inboxes", "inbox:", "user_id"), ("feeds", "feed:", "name"))


def function(table: str, prefix: str, column: str) -> str:
    return f"""
    CREATE FUNCTION record_moved_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stream_moves (transaction_id, streams, at)
        SELECT pg_current_xact_id()::text::bigint, json_agg('{prefix}' || {column})::text, now()
        FROM changed HAVING count(*) > 0;
        RETURN NULL;
    END $$
    """  # noqa: S608 - our own names


def trigger(table: str, act: str) -> str:
    return f"""
    CREATE TRIGGER {table}_moved_by_{act} AFTER {act} ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION record_moved_{table}()
    """


def upgrade() -> None:
    op.create_table(
        "stream_moves",
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("streams", sa.Text(), nullable=False),
        sa.Column("at", DateTimeUTC(timezone=True), nullable=False),
    )
    op.create_index("ix_stream_moves_transaction_id", "stream_moves", ["transaction_id"])
    if op.get_context().dialect.name == "postgresql":
        for table, prefix, column in STREAMS:
            op.execute(function(table, prefix, column))
            for act in ACTS:
                op.execute(trigger(table, act))


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table, *_ in STREAMS:
            for act in ACTS:
                op.execute(f"DROP TRIGGER {table}_moved_by_{act} ON {table}")
            op.execute(f"DROP FUNCTION record_moved_{table}()")
    op.drop_table("stream_moves")
