"""Stores the users' preferences in memory."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from adapters.memory.shared_records import MemoryRecords
from domain.preferences import DEFAULT, Preferences


class MemoryPreferences:
    """Implements PreferencesStore on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def get(self, user: str) -> Preferences:
        return self._records.preferences.get(user, DEFAULT)

    async def change(self, user: str, changes: Mapping[str, Any], now: datetime) -> Preferences:
        return await self.put(user, msgspec.structs.replace(await self.get(user), **changes), now)

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        kept = self._records.preferences[user] = msgspec.structs.replace(preferences, updated_at=now)
        return kept
