"""The port for what users want to be told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from domain.preferences import Preferences


class PreferencesStore(Protocol):
    """For keeping preferences.

    The store consults them in the transaction that stores a notification: what is recorded after `put` returned is
    bound by them. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def get(self, user: str) -> Preferences:
        """DEFAULT where the user has set none."""

    async def change(self, user: str, changes: Mapping[str, Any], now: datetime) -> Preferences:
        """Sets the fields of Preferences that `changes` names, at least one, and leaves the others as they are, in one
        transaction: changes of different fields made concurrently are all kept. Returns them as they are then."""

    async def put(self, user: str, preferences: Preferences, now: datetime) -> Preferences:
        """Replaces them; returns them with their `updated_at`."""
