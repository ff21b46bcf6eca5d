"""Replaces the epoch: the random name of the store's history."""

from uuid import uuid4

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.tables import StateRow


async def new_epoch(database: Database) -> str:
    """Replaces the epoch of the store by a random one, and returns it. All cursors that clients have become invalid.
    Nodes that are running use the old epoch until they are restarted. Raises StoreUnavailable."""
    epoch = uuid4().hex[-12:]

    async def replace(connection: AsyncConnection) -> None:
        await connection.execute(update(StateRow).where(StateRow.name == "epoch").values(value=epoch))

    await database.write(replace)
    return epoch
