"""`herald db`: the database's schema and epoch."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from adapters.sql.settings import MEMORY
from entrypoints.settings.loader import read

if TYPE_CHECKING:
    from adapters.sql.database import Database
    from adapters.sql.schema import Schema

T = TypeVar("T")


@click.group("db", short_help="Upgrade the database, or look at its schema.")
def db() -> None:
    """Upgrade the database of DATABASE_URL, or show the state of its schema.

    Nodes of the previous version run on an upgraded database: upgrade first, then replace the nodes one by one.
    """


@db.command()
def upgrade() -> None:
    """Upgrade the schema to the revision of this version. Safe to run repeatedly and concurrently."""

    async def act(_: "Database", schema: "Schema") -> None:
        upgraded = await schema.upgrade()
        click.echo(f"{'Upgraded to' if upgraded else 'Nothing to do: at'} revision {await schema.current()}.")

    _do(act)


@db.command()
@click.argument("revision")
@click.confirmation_option(prompt="What the undone revisions have added is lost. Go on?")
def downgrade(revision: str) -> None:
    """Undo revisions until the schema is at REVISION (`base`: no tables at all; `-- -1`: undo one)."""

    async def act(_: "Database", schema: "Schema") -> None:
        await schema.downgrade(revision)
        now = await schema.current()
        click.echo(f"Downgraded to revision {now}." if now else "Downgraded: there are no tables left.")

    _do(act)


@db.command()
def current() -> None:
    """Show the revision of the schema, and the one that this version needs."""

    async def act(_: "Database", schema: "Schema") -> None:
        now = await schema.current()
        click.echo(f"{now or 'no tables yet'}{'' if now == schema.head() else f', this version needs {schema.head()}'}")

    _do(act)


@db.command()
def check() -> None:
    """Show where the schema differs from the tables that this version declares. Exit code 1 if it does."""

    async def act(_: "Database", schema: "Schema") -> list[str]:
        return await schema.check()

    differences = _do(act)
    for difference in differences:
        click.echo(f"needs: {difference}")
    if differences:
        raise click.exceptions.Exit(1)
    click.echo("The schema is as this version knows it.")


@db.command("new-epoch")
def new_epoch() -> None:
    """Make all positions and cursors of clients invalid. Run it after a restore from a backup."""

    async def act(database: "Database", schema: "Schema") -> str:
        from adapters.sql.epoch import new_epoch

        await schema.verify()
        return await new_epoch(database)

    click.echo(f"The epoch is {_do(act)} now. Restart all nodes: those that run still tell the old one.")


def _do(act: Callable[["Database", "Schema"], Awaitable[T]]) -> T:
    # Imported here: the other commands need no database, and importing it takes a while.
    from adapters.sql.schema import DatabaseUnusable, MigrationRefused, SchemaOutdated
    from application.ports.store import StoreUnavailable
    from entrypoints.prepare import StartRefused, open_database

    settings = read(os.environ, "dev", {})
    if settings.database.url == MEMORY:
        raise click.ClickException(f"DATABASE_URL is {MEMORY} There is no schema.")

    async def done() -> T:
        async with open_database(settings) as (database, schema):
            return await act(database, schema)

    try:
        return asyncio.run(done())
    except (StoreUnavailable, StartRefused, DatabaseUnusable, MigrationRefused, SchemaOutdated) as error:
        raise click.ClickException(str(error)) from None
