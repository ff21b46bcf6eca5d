"""Settings of connections through a pooler (PgBouncer and similar) in session or transaction mode: how the limits of a
session are set, and how statements are prepared."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, event

from adapters.sql.settings import Pooler


def connect_arguments(pooler: Pooler, application_name: str, limits: Mapping[str, str]) -> dict[str, Any]:
    """Returns the arguments with which SQLAlchemy opens connections of asyncpg. `limits` are settings of a PostgreSQL
    session, for example `{"lock_timeout": "6000ms"}`. They are startup parameters, which a pooler would refuse; with a
    pooler, they are left out here, and set by `apply_limits`."""
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
    """Makes the engine set `limits` (see `connect_arguments`) itself, if there is a pooler: in session mode once on
    each new connection, in transaction mode at the beginning of each transaction. Does nothing without a pooler."""
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
