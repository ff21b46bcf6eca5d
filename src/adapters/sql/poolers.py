"""Connections through a pooler (PgBouncer and similar): how session limits are set, and statements prepared."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, event

from adapters.sql.settings import Pooler


def connect_arguments(pooler: Pooler, application_name: str, limits: Mapping[str, str]) -> dict[str, Any]:
    """Returns the arguments for SQLAlchemy's asyncpg dialect. A pooler refuses most startup parameters of a session,
    including `limits`: with a pooler, `apply_limits` sets these."""
    settings = {"application_name": application_name, **(limits if pooler == "none" else {})}
    arguments: dict[str, Any] = {"server_settings": settings}
    if pooler == "transaction":
        # A named statement would stay in a server session that another client gets next. The unnamed statement is
        # replaced by the next one: it is prepared and executed within one transaction, and nothing refers to it later.
        arguments |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
    return arguments


def apply_limits(engine: Engine, pooler: Pooler, limits: Mapping[str, str]) -> None:
    """Sets the limits that a pooler refuses as startup parameters: once for each connection in session mode, in each
    transaction in transaction mode. Without a pooler, does nothing."""
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
