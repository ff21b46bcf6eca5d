"""The port for what users want to be told."""

from datetime import datetime
from typing import Protocol

from domain.preferences import Preferences


class PreferencesStore(Protocol):
    """For keeping preferences.

    The store consults them in the transaction that stores a notification: what is recorded after `put` returned is
    bound by them. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str) -> Preferences:
        """DEFAULT where the user has set none."""

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        """Replaces them; returns them with their `updated_at`."""
