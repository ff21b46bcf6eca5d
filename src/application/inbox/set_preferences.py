"""What a user wants to be told, as its owner sets it."""

from collections.abc import Iterable
from typing import Any

import msgspec

from application.ports.clock import Clock
from application.ports.preferences import PreferencesStore
from domain.preferences import Preferences
from domain.storable import storable


class SetPreferences:
    """Shows and sets a user's preferences.

    They bind every notification that is stored after they were set. Of two that set the same field at once, the later
    one's value stays. Raises InvalidInput for a type that no notification can have, and
    StoreUnavailable.
    """

    def __init__(self, preferences: PreferencesStore, clock: Clock) -> None:
        self._preferences = preferences
        self._clock = clock

    async def get(self, user: str) -> Preferences:
        return await self._preferences.get(user)

    async def replace(self, user: str, preferences: Preferences) -> Preferences:
        """Sets all of them."""
        preferences = msgspec.structs.replace(preferences, muted_types=_once(preferences.muted_types))
        return await self._preferences.put(user, preferences, self._clock.now())

    async def patch(self, user: str, **changes: Any) -> Preferences:
        """Sets those that are named, by the fields of Preferences, and leaves the others as they are."""
        if not changes:
            return await self._preferences.get(user)
        if "muted_types" in changes:
            changes["muted_types"] = _once(changes["muted_types"])
        return await self._preferences.change(user, changes, self._clock.now())


def _once(muted_types: Iterable[str]) -> tuple[str, ...]:
    """Each type once. Raises InvalidInput for one that no notification can have."""
    return tuple(dict.fromkeys(storable(muted, "muted_types") for muted in muted_types))
