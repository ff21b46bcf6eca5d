"""What Alembic runs around the revisions. The connection is given by `adapters.sql.schema`."""

from alembic import context

from adapters.sql.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # Each revision is there wholly or not at all, and one that needs it may step out of its transaction.
    transaction_per_migration=True,
)

with context.begin_transaction():
    context.run_migrations()
