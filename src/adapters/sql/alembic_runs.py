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
    """Returns Alembic's settings for the revisions in these folders."""
    config = Config()
    config.set_main_option("script_location", "adapters.sql:migrations")
    config.set_main_option("path_separator", "newline")
    # Doubled, because Alembic interprets a single percent sign as an interpolation.
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in folders))
    return config


def run(
    connection: Connection, folders: Sequence[Path], command: Literal["upgrade", "downgrade"], revision: str
) -> None:
    """Upgrades or downgrades to a revision. Raises CommandError if the revision does not exist, or no path
    leads to it."""
    config = settings(folders)
    config.attributes["connection"] = connection
    {"upgrade": commands.upgrade, "downgrade": commands.downgrade}[command](config, revision)


def differences(connection: Connection) -> list[str]:
    """Returns the differences between the database and the tables that the code declares, one text each."""
    options = {"compare_type": _types_differ, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return [_in_words(difference) for difference in compare_metadata(context, Base.metadata)]


def _types_differ(
    context: MigrationContext, _: object, __: object, kept: TypeEngine[Any], known: TypeEngine[Any]
) -> bool | None:
    """Returns False for UUID columns on SQLite, whose type BINARY(16) Alembic would take for a number. Returns None for
    all other columns: Alembic compares these itself."""
    return False if context.dialect.name == "sqlite" and isinstance(known, GUID) else None


def _in_words(difference: Any) -> str:
    """Returns a difference as text: the operation, and the names of the table and columns."""
    if isinstance(difference, list):
        return "; ".join(_in_words(one) for one in difference)
    act, *about = difference
    named = (thing if isinstance(thing, str) else getattr(thing, "name", None) for thing in about)
    return f"{act.replace('_', ' ')} {' '.join(name for name in named if name)}"
