"""Runs Alembic: upgrades and downgrades a database, and compares it with the declared tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from advanced_alchemy.types import GUID
from alembic import command as commands
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.types import TypeEngine

from adapters.sql.tables import Base

__all__ = ["CommandError", "differences", "run", "settings"]


def settings(folders: Sequence[Path]) -> Config:
    """Returns Alembic's settings. `folders` contain the migrations."""
    config = Config()
    config.set_main_option("script_location", "adapters.sql:migrations")
    config.set_main_option("path_separator", "newline")
    # Doubled, because Alembic interprets a single percent sign as an interpolation.
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in folders))
    return config


def run(
    connection: Connection, folders: Sequence[Path], command: Literal["upgrade", "downgrade"], revision: str
) -> None:
    """Upgrades or downgrades the database to a revision. `folders` contain the migrations. Raises CommandError if there
    is no such revision, or if the database can't get from its current revision to this one."""
    config = settings(folders)
    config.attributes["connection"] = connection
    {"upgrade": commands.upgrade, "downgrade": commands.downgrade}[command](config, revision)


def differences(connection: Connection) -> list[str]:
    """Returns the differences between the database and the tables declared in `tables`, for example `"add column feeds
    last_seq"`. Empty if there are none."""
    options = {"compare_type": _types_differ, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return [_as_text(difference) for difference in compare_metadata(context, Base.metadata)]


def _types_differ(
    context: MigrationContext, _: object, __: object, in_database: TypeEngine[Any], declared: TypeEngine[Any]
) -> bool | None:
    """Compares column types for Alembic. Returns False (the same type) for UUID columns on SQLite, whose type
    BINARY(16) Alembic would mistake for a number. Returns None for all other columns, so that Alembic compares them
    itself."""
    return False if context.dialect.name == "sqlite" and isinstance(declared, GUID) else None


def _as_text(difference: Any) -> str:
    """Converts a difference found by Alembic to text: the operation, and the names of the table and columns."""
    if isinstance(difference, list):
        return "; ".join(_as_text(one) for one in difference)
    act, *about = difference
    named = (thing if isinstance(thing, str) else getattr(thing, "name", None) for thing in about)
    return f"{act.replace('_', ' ')} {' '.join(name for name in named if name)}"
