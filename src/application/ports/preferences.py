"""The port for users' preferences."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from domain.preferences import Preferences


class PreferencesStore(Protocol):
    """Stores preferences.

    The store reads them in the transaction that stores a notification: they apply to everything that is recorded after
    `put` has returned. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str) -> Preferences:
        """DEFAULT if the user has set none."""

    async def change(self, user: str, changes: Mapping[str, Any], now: datetime) -> Preferences:
        """Sets the fields of Preferences that `changes` names, at least one, and leaves the others as they are, in one
        transaction: concurrent changes of different fields are all kept. Returns the result."""

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        """Replaces them; returns them with their `updated_at`."""
