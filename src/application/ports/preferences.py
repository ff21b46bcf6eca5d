"""The port for users' preferences."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from domain.preferences import Preferences


class PreferencesStore(Protocol):
    """Stores the preferences of users.

    The transaction that stores a notification reads the preferences of its user. So they apply to everything that is
    stored after `put` or `change` has returned. Every method raises StoreUnavailable or Unstorable, having changed
    nothing.
    """

    async def get(self, user: str) -> Preferences:
        """Returns the user's preferences; the defaults (domain.preferences.DEFAULT) if the user has set none."""

    async def change(self, user: str, changes: Mapping[str, Any], now: datetime) -> Preferences:
        """Sets some of the user's preferences and keeps the others, in one transaction: if two calls change different
        fields at the same time, both changes are kept. `changes` has the new values, keyed by field of Preferences; at
        least one. Returns all preferences after the change."""

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        """Replaces all preferences of the user. Returns them with `updated_at` set to `now`."""
