"""Reading and setting a user's own preferences."""

from collections.abc import Iterable
from typing import Any

import msgspec

from application.ports.clock import Clock
from application.ports.preferences import PreferencesStore
from domain.preferences import Preferences
from domain.storable_text import require_storable


class SetPreferences:
    """Reads and sets a user's preferences.

    They apply to every notification that is stored after they were set. Of two concurrent changes of one field, the
    later one applies. Raises InvalidInput for a muted type that can't be stored, and StoreUnavailable.
    """

    def __init__(self, preferences: PreferencesStore, clock: Clock) -> None:
        self._preferences = preferences
        self._clock = clock

    async def get(self, user: str) -> Preferences:
        return await self._preferences.get(user)

    async def replace(self, user: str, preferences: Preferences) -> Preferences:
        """Replaces all preferences of the user. Returns them with their new `updated_at`."""
        preferences = msgspec.structs.replace(preferences, muted_types=_once(preferences.muted_types))
        return await self._preferences.put(user, preferences, self._clock.now())

    async def patch(self, user: str, **changes: Any) -> Preferences:
        """Sets the given fields of Preferences, and leaves all others unchanged. Returns the result."""
        if not changes:
            return await self._preferences.get(user)
        if "muted_types" in changes:
            changes["muted_types"] = _once(changes["muted_types"])
        return await self._preferences.change(user, changes, self._clock.now())


def _once(muted_types: Iterable[str]) -> tuple[str, ...]:
    """Returns the types without repetitions. Raises InvalidInput if one can't be stored: no notification can have such
    a type."""
    return tuple(dict.fromkeys(require_storable(muted, "muted_types") for muted in muted_types))
