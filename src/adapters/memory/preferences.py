"""Preferences in memory."""

from datetime import datetime

import msgspec

from adapters.memory.records import MemoryRecords
from domain.preferences import DEFAULT, Preferences


class MemoryPreferences:
    """Implements PreferencesStore."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def get(self, user: str) -> Preferences:
        return self._records.preferences.get(user, DEFAULT)

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        kept = self._records.preferences[user] = msgspec.structs.replace(preferences, updated_at=now)
        return kept
