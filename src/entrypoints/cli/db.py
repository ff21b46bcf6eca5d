"""`herald db`: upgrades, downgrades and checks the schema of the database, and replaces the epoch."""

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


@click.group("db", short_help="Upgrade the database, or show the state of its schema.")
def db() -> None:
    """Upgrade the database of DATABASE_URL, show the state of its schema, or make cursors invalid after a restore.

    Nodes of the previous version can run on an upgraded database: upgrade first, then replace the nodes one by one.
    """


@db.command()
def upgrade() -> None:
    """Upgrade the schema to the revision that this version of Herald needs.

    If the schema has that revision already, nothing changes. Several machines may run the command at the same time.
    """

    async def act(_: "Database", schema: "Schema") -> None:
        upgraded = await schema.upgrade()
        click.echo(f"{'Upgraded to' if upgraded else 'Nothing to do: at'} revision {await schema.current()}.")

    _do(act)


@db.command()
@click.argument("revision")
@click.confirmation_option(
    prompt="The tables and columns that these revisions added are deleted, with their data. Continue?"
)
def downgrade(revision: str) -> None:
    """Undo upgrades of the schema, newest first, until it is at REVISION.

    The tables and columns that the undone upgrades added are deleted, with their data. `base` as REVISION undoes all
    upgrades. `herald db downgrade -- -1` undoes only the last one.
    """

    async def act(_: "Database", schema: "Schema") -> None:
        await schema.downgrade(revision)
        now = await schema.current()
        click.echo(f"Downgraded to revision {now}." if now else "Downgraded: there are no tables left.")

    _do(act)


@db.command()
def current() -> None:
    """Show the revision of the schema.

    If this version of Herald needs another revision, that one is shown too.
    """

    async def act(_: "Database", schema: "Schema") -> None:
        now = await schema.current()
        click.echo(f"{now or 'no tables yet'}{'' if now == schema.head() else f', this version needs {schema.head()}'}")

    _do(act)


@db.command()
def check() -> None:
    """Show the differences between the schema and the one that Herald needs.

    Compares the tables in the database with the tables that this version of Herald uses. The exit code is 1 if there
    are differences.
    """

    async def act(_: "Database", schema: "Schema") -> list[str]:
        return await schema.check()

    differences = _do(act)
    for difference in differences:
        click.echo(f"needs: {difference}")
    if differences:
        raise click.exceptions.Exit(1)
    click.echo("The schema is the one that this version needs.")


@db.command("new-epoch")
def new_epoch() -> None:
    """Make the cursors of all clients invalid. Run this after restoring the database from a backup, before the nodes
    start.

    Clients then load their lists again. Otherwise they would resume at positions that the restored database does not
    have, and miss entries.
    """

    async def act(database: "Database", schema: "Schema") -> str:
        from adapters.sql.new_epoch import new_epoch

        await schema.verify()
        return await new_epoch(database)

    click.echo(f"The epoch is {_do(act)} now. Restart all nodes: running nodes still use the old epoch.")


def _do(act: Callable[["Database", "Schema"], Awaitable[T]]) -> T:
    # Imported here, because importing the database takes a while and other commands do not need it.
    from adapters.sql.schema import DatabaseUnusable, MigrationRefused, SchemaOutdated
    from application.ports.store import StoreUnavailable
    from entrypoints.prepare_database import StartRefused, open_database

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
