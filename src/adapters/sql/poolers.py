"""PostgreSQL behind a connection pooler (PgBouncer and the like): how limits get there, how statements are prepared."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, event

from adapters.sql.settings import Pooler


def connect_arguments(pooler: Pooler, application_name: str, limits: Mapping[str, str]) -> dict[str, Any]:
    """Arguments for SQLAlchemy's asyncpg dialect. A pooler refuses most parameters of a new session, these limits among
    them: see `apply_limits`."""
    settings = {"application_name": application_name, **(limits if pooler == "none" else {})}
    arguments: dict[str, Any] = {"server_settings": settings}
    if pooler == "transaction":
        # A named statement stays in a server session that another client gets next. The unnamed one is replaced by the
        # next: it is prepared and executed within one transaction, and nothing remembers it.
        arguments |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
    return arguments


def apply_limits(engine: Engine, pooler: Pooler, limits: Mapping[str, str]) -> None:
    """Sets the limits of what the engine does, where they were no parameters of its connections: of each connection, or
    of each transaction."""
    if pooler == "none":
        return
    local = "true" if pooler == "transaction" else "false"
    parts = ", ".join(f"set_config('{name}', '{value}', {local})" for name, value in limits.items())
    statement = f"SELECT {parts}"

    def set_for_session(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()
        connection.commit()

    def set_for_transaction(connection: Any) -> None:
        connection.exec_driver_sql(statement)

    if pooler == "session":
        event.listen(engine, "connect", set_for_session)
    else:
        event.listen(engine, "begin", set_for_transaction)
