"""Repositories of advanced-alchemy on connections of Database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

Repository = TypeVar("Repository", bound=SQLAlchemyAsyncRepository[Any])


@asynccontextmanager
async def opened(repository: type[Repository], connection: AsyncConnection) -> AsyncIterator[Repository]:
    """Yields a repository with a session of its own on this connection. Database translates the errors that it
    raises."""
    async with AsyncSession(connection) as session:
        yield repository(session=session, wrap_exceptions=False)
