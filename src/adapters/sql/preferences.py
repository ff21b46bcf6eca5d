"""Stores the users' preferences."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import Database
from adapters.sql.open_repository import open_repository
from adapters.sql.queries import preferences as preferences_table
from adapters.sql.tables import PreferencesRow
from application.ports.clock import IdFactory
from domain.preferences import DEFAULT, Preferences

# The preferences that users can set. Each is a column and a field of Preferences.
_FIELDS: Final = ("email_notifications", "push_notifications", "websocket_notifications", "muted_types")


class _Rows(SQLAlchemyAsyncRepository[PreferencesRow]):
    model_type = PreferencesRow


class SqlPreferences:
    """Implements PreferencesStore on the table `notification_preferences`."""

    def __init__(self, database: Database, ids: IdFactory) -> None:
        self._database = database
        self._ids = ids

    async def get(self, user: str) -> Preferences:
        async def ask(connection: AsyncConnection) -> Preferences:
            async with open_repository(_Rows, connection) as rows:
                row = await rows.get_one_or_none(user_id=user)
                return DEFAULT if row is None else _preferences(row)

        return await self._database.read(ask)

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        fields = {field: getattr(preferences, field) for field in _FIELDS}
        return await self.change(user, fields, now)

    async def change(self, user: str, changes: Mapping[str, Any], now: datetime) -> Preferences:
        # One statement that sets only these columns, so that concurrent changes of others are preserved.
        columns = _columns(changes) | {"updated_at": now}
        default = _columns({field: getattr(DEFAULT, field) for field in _FIELDS})
        row = {"id": self._ids.new_id(), "user_id": user, "created_at": now} | default | columns
        statement = (
            self._database.insert(preferences_table)
            .values(**row)
            .on_conflict_do_update(index_elements=["user_id"], set_=columns)
            .returning(*(preferences_table.c[field] for field in (*_FIELDS, "updated_at")))
        )

        async def store(connection: AsyncConnection) -> Preferences:
            return _preferences((await connection.execute(statement)).one())

        return await self._database.write(store)


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {field: list(value) if field == "muted_types" else value for field, value in fields.items()}


def _preferences(row: Any) -> Preferences:
    """Converts a row to preferences. The row has a column for each field of Preferences."""
    return Preferences(
        row.email_notifications,
        row.push_notifications,
        row.websocket_notifications,
        tuple(row.muted_types),
        row.updated_at,
    )
