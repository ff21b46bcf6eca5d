"""The port for who is where: how many sessions a user has on other nodes."""

from collections.abc import Mapping
from typing import Protocol


class Presence(Protocol):
    """For counting a user's sessions on all nodes.

    The count is soft: what can't be asked for now counts as nothing, and what nodes say of themselves may be a second
    old, and is forgotten a day after it was said. The sessions of a node that died are gone with it. Never raises.
    """

    async def enter(self, user: str, count: int) -> int:
        """Says that this node has `count` sessions of the user now; returns how many the other nodes have."""

    async def update(self, counts: Mapping[str, int]) -> bool:
        """Says how many sessions this node has now of each of these users; 0 for one who has left. Returns whether it
        could: what is said and asked later comes behind it."""
