"""The port for users' preferences."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from domain.preferences import Preferences


class PreferencesStore(Protocol):
    """Stores preferences.

    They are read in the transaction that stores a notification, so they apply to everything that is recorded after
    `put` or `change` has returned. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str) -> Preferences:
        """Returns the user's preferences; DEFAULT if the user has set none."""

    async def change(self, user: str, changes: Mapping[str, Any], now: datetime) -> Preferences:
        """Sets those fields of Preferences that are keys of `changes` (at least one), in one transaction, and leaves
        all others unchanged: concurrent changes of different fields are all applied. Returns the result."""

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        """Replaces all of the user's preferences. Returns them with their new `updated_at`."""
