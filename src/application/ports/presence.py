"""The port for presence: how many sessions a user has on all nodes."""

from collections.abc import Mapping
from typing import Protocol


class Presence(Protocol):
    """Counts the sessions of each user on all nodes, so that their number can be limited.

    The counts are not exact. While the backend is unavailable, the sessions on other nodes count as 0. Counts of other
    nodes may be 1 s old. Those of a node that has died are ignored, and a user's counts are deleted 24 h after the last
    report. Never raises.
    """

    async def enter(self, user: str, count: int) -> int:
        """Reports that this node now has `count` sessions of the user. Returns the number of the user's sessions on all
        other nodes."""

    async def update(self, counts: Mapping[str, int]) -> bool:
        """Reports how many sessions this node has of each user in `counts`; 0 if the user has none left. Returns False
        if the backend is unavailable, so that the counts have to be reported again. Calls take effect in the order in
        which they are made."""
