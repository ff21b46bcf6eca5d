"""The port for presence: how many sessions a user has on other nodes."""

from collections.abc import Mapping
from typing import Protocol


class Presence(Protocol):
    """Counts a user's sessions on all nodes.

    Best effort: if the backend is unavailable the count is 0. A node's report may be 1 s stale, and expires after 24 h.
    The sessions of a node that has died do not count. Never raises.
    """

    async def enter(self, user: str, count: int) -> int:
        """Reports that this node has `count` sessions of the user. Returns the number of the user's sessions on all
        other nodes."""

    async def update(self, counts: Mapping[str, int]) -> bool:
        """Reports the number of sessions that this node has of each of these users; 0 if a user has no more. Returns
        False if the backend is unavailable. Later calls take effect after this one."""
