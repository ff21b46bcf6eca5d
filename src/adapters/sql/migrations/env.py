"""Alembic's environment for the revisions. `adapters.sql.schema` provides the connection."""

from alembic import context

from adapters.sql.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # One transaction for each revision, so that it is applied completely or not at all. A revision can leave its
    # transaction if it has to (`autocommit_block`).
    transaction_per_migration=True,
)

with context.begin_transaction():
    context.run_migrations()
