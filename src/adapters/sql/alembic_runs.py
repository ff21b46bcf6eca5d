"""Alembic at work: running revisions, and comparing a database with the declared tables."""

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
    """Alembic's settings for the revisions of these folders."""
    config = Config()
    config.set_main_option("script_location", "adapters.sql:migrations")
    config.set_main_option("path_separator", "newline")
    # A percent sign in a value would be an interpolation.
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in folders))
    return config


def run(
    connection: Connection, folders: Sequence[Path], command: Literal["upgrade", "downgrade"], revision: str
) -> None:
    """Raises CommandError for a revision that does not exist, or has no path to it."""
    config = settings(folders)
    config.attributes["connection"] = connection
    {"upgrade": commands.upgrade, "downgrade": commands.downgrade}[command](config, revision)


def differences(connection: Connection) -> list[str]:
    """The differences between the database and the tables that the code declares, one line each."""
    options = {"compare_type": _types_differ, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return [_in_words(difference) for difference in compare_metadata(context, Base.metadata)]


def _types_differ(
    context: MigrationContext, _: object, __: object, kept: TypeEngine[Any], known: TypeEngine[Any]
) -> bool | None:
    """None leaves the comparison to Alembic, which would mistake SQLite's BINARY(16) for a number."""
    return False if context.dialect.name == "sqlite" and isinstance(known, GUID) else None


def _in_words(difference: Any) -> str:
    if isinstance(difference, list):
        return "; ".join(_in_words(one) for one in difference)
    act, *about = difference
    named = (thing if isinstance(thing, str) else getattr(thing, "name", None) for thing in about)
    return f"{act.replace('_', ' ')} {' '.join(name for name in named if name)}"
