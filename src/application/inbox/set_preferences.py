"""Reading and setting a user's own preferences."""

from collections.abc import Iterable
from typing import Any

import msgspec

from application.ports.clock import Clock
from application.ports.preferences import PreferencesStore
from domain.preferences import Preferences
from domain.storable_text import require_storable


class SetPreferences:
    """Reads and sets a user's own preferences, for the REST API.

    Preferences apply to notifications that are stored, and deliveries that are sent, after they were set. If two
    requests change the same field concurrently, the later one applies. Raises StoreUnavailable; raises InvalidInput for
    a muted type that can't be stored, such as one with U+0000.
    """

    def __init__(self, preferences: PreferencesStore, clock: Clock) -> None:
        self._preferences = preferences
        self._clock = clock

    async def get(self, user: str) -> Preferences:
        return await self._preferences.get(user)

    async def replace(self, user: str, preferences: Preferences) -> Preferences:
        """Replaces all preferences of the user. Returns them with their new `updated_at`."""
        preferences = msgspec.structs.replace(preferences, muted_types=_without_duplicates(preferences.muted_types))
        return await self._preferences.put(user, preferences, self._clock.now())

    async def patch(self, user: str, **changes: Any) -> Preferences:
        """Sets the fields of Preferences that are given by name, such as `email_notifications=False`, and leaves all
        other fields unchanged. Returns all preferences of the user afterwards."""
        if not changes:
            return await self._preferences.get(user)
        if "muted_types" in changes:
            changes["muted_types"] = _without_duplicates(changes["muted_types"])
        return await self._preferences.change(user, changes, self._clock.now())


def _without_duplicates(muted_types: Iterable[str]) -> tuple[str, ...]:
    """Returns the muted types without duplicates, in the given order. Raises InvalidInput if a type can't be stored,
    such as one with U+0000: no notification can have this type."""
    return tuple(dict.fromkeys(require_storable(muted, "muted_types") for muted in muted_types))
