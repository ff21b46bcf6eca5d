"""Counts the sessions of each user, for a single process. Tests simulate several nodes by several MemoryPresence
objects with the same `Roll`: a list that has, for each node, the number of sessions by user."""

from collections.abc import Mapping
from typing import TypeAlias

Roll: TypeAlias = list[dict[str, int]]


class MemoryPresence:
    """Implements the port Presence for one node. `roll` is shared by all nodes of a test; with None, this node is the
    only one."""

    def __init__(self, roll: Roll | None = None) -> None:
        self._roll = [] if roll is None else roll
        self._here: dict[str, int] = {}
        self._roll.append(self._here)

    async def enter(self, user: str, count: int) -> int:
        self._here[user] = count
        return sum(node.get(user, 0) for node in self._roll if node is not self._here)

    async def update(self, counts: Mapping[str, int]) -> bool:
        for user, count in counts.items():
            if count:
                self._here[user] = count
            else:
                self._here.pop(user, None)
        return True
