"""Opens repositories of advanced-alchemy on a connection of Database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

Repository = TypeVar("Repository", bound=SQLAlchemyAsyncRepository[Any])


@asynccontextmanager
async def open_repository(repository: type[Repository], connection: AsyncConnection) -> AsyncIterator[Repository]:
    """Yields a repository that uses this connection, in a new SQLAlchemy session. Errors are not wrapped, so that
    Database can translate them."""
    async with AsyncSession(connection) as session:
        yield repository(session=session, wrap_exceptions=False)
