"""Alembic's environment for the revisions. `adapters.sql.schema` provides the connection."""

from alembic import context

from adapters.sql.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # Each revision is applied completely or not at all; a revision that needs it may leave its transaction.
    transaction_per_migration=True,
)

with context.begin_transaction():
    context.run_migrations()
