"""Preferences."""

from datetime import datetime

import msgspec
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from adapters.sql.database import Database
from adapters.sql.tables import PreferencesRow
from application.ports.clock import IdFactory
from domain.preferences import DEFAULT, Preferences


class _Rows(SQLAlchemyAsyncRepository[PreferencesRow]):
    model_type = PreferencesRow


class SqlPreferences:
    """Implements PreferencesStore."""

    def __init__(self, database: Database, ids: IdFactory) -> None:
        self._database = database
        self._ids = ids

    async def get(self, user: str) -> Preferences:
        async def ask(connection: AsyncConnection) -> Preferences:
            rows = _Rows(session=AsyncSession(connection), wrap_exceptions=False)
            row = await rows.get_one_or_none(user_id=user)
            if row is None:
                return DEFAULT
            return Preferences(
                row.email_notifications,
                row.push_notifications,
                row.websocket_notifications,
                tuple(row.muted_types),
                row.updated_at,
            )

        return await self._database.read(ask)

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        kept = {
            "email_notifications": preferences.email_notifications,
            "push_notifications": preferences.push_notifications,
            "websocket_notifications": preferences.websocket_notifications,
            "muted_types": list(preferences.muted_types),
            "updated_at": now,
        }
        insert = self._database.insert(PreferencesRow).values(
            id=self._ids.new_id(), user_id=user, created_at=now, **kept
        )
        statement = insert.on_conflict_do_update(index_elements=["user_id"], set_=kept)
        await self._database.write(lambda connection: connection.execute(statement))
        return msgspec.structs.replace(preferences, updated_at=now)
