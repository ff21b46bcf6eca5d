"""Repositories of advanced-alchemy on connections of Database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

Repository = TypeVar("Repository", bound=SQLAlchemyAsyncRepository[Any])


@asynccontextmanager
async def opened(repository: type[Repository], connection: AsyncConnection) -> AsyncIterator[Repository]:
    """A repository with a session of its own. Database translates its errors."""
    async with AsyncSession(connection) as session:
        yield repository(session=session, wrap_exceptions=False)
