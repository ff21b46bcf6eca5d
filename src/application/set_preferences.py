"""What a user wants to be told, as its owner sets it."""

from typing import Any

import msgspec

from application.ports.clock import Clock
from application.ports.preferences import PreferencesStore
from domain.preferences import Preferences
from domain.storable import storable


class SetPreferences:
    """Shows and sets a user's preferences.

    They bind every notification that is stored after they were set; what is in the inbox already stays as it is. Of
    two who set them at once, the later one's stay. Raises InvalidInput for a type that no notification can have, and
    StoreUnavailable.
    """

    def __init__(self, preferences: PreferencesStore, clock: Clock) -> None:
        self._preferences = preferences
        self._clock = clock

    async def get(self, user: str) -> Preferences:
        return await self._preferences.get(user)

    async def replace(self, user: str, preferences: Preferences) -> Preferences:
        """Sets all of them."""
        once = tuple(dict.fromkeys(storable(muted, "muted_types") for muted in preferences.muted_types))
        preferences = msgspec.structs.replace(preferences, muted_types=once)
        return await self._preferences.put(user, preferences, self._clock.now())

    async def patch(self, user: str, **changes: Any) -> Preferences:
        """Sets those that are named, by the fields of Preferences, and leaves the others as they are."""
        preferences = await self._preferences.get(user)
        if not changes:
            return preferences
        return await self.replace(user, msgspec.structs.replace(preferences, **changes))
