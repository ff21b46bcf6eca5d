"""Declares the triggers that record in `stream_moves` which streams have changed. Migration 0010 creates them.

Only PostgreSQL has them, because only there many nodes share the database. Each statement that inserts or updates rows
of `inboxes` or `feeds` adds one row to `stream_moves`, however many streams it changes.
"""

from typing import Final

from sqlalchemy import DDL, event

from adapters.sql.tables import STREAM_MOVES

# The columns that identify a stream, by table, and the prefixes of the names of streams.
_STREAMS: Final = (("inboxes", "inbox:", "user_id"), ("feeds", "feed:", "name"))


def _function(table: str, prefix: str, column: str) -> str:
    return f"""
    CREATE FUNCTION record_moved_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stream_moves (transaction_id, streams, at)
        SELECT pg_current_xact_id()::text::bigint, json_agg('{prefix}' || {column})::text, now()
        FROM changed HAVING count(*) > 0;
        RETURN NULL;
    END $$
    """  # noqa: S608 - our own names


def _trigger(table: str, act: str) -> str:
    return f"""
    CREATE TRIGGER {table}_moved_by_{act} AFTER {act} ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION record_moved_{table}()
    """


for _table, _prefix, _column in _STREAMS:
    for _statement in (_function(_table, _prefix, _column), _trigger(_table, "insert"), _trigger(_table, "update")):
        _ddl = DDL(_statement.replace("%", "%%")).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]  # SQLAlchemy's
        event.listen(STREAM_MOVES, "after_create", _ddl)
