"""The epoch: the name of a store's history."""

from uuid import uuid4

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.tables import StateRow


async def new_epoch(database: Database) -> str:
    """Give the store's history a new name and return it; all positions and cursors of the old one become invalid.
    Running nodes keep the old epoch until they are restarted. Raises StoreUnavailable.
    """
    epoch = uuid4().hex[-12:]

    async def replace(connection: AsyncConnection) -> None:
        await connection.execute(update(StateRow).where(StateRow.name == "epoch").values(value=epoch))

    await database.write(replace)
    return epoch
