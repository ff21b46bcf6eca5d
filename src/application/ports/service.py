"""The port for services: the parts of a node that run for as long as the node does."""

from enum import IntEnum
from typing import Protocol


class Phase(IntEnum):
    """When a service starts. Phases start in this order and stop in the reverse order."""

    LIVE = 1  # entries reach the sessions of this node
    MAINTENANCE = 2  # background work on the store
    DELIVERY = 3  # deliveries are sent through their channels
    PREPARATION = 4  # work that must be done before events are consumed
    INGEST = 5  # events are consumed and stored


class Service(Protocol):
    """A part of a node that works in the background. Node starts, drains and stops all services.

    Each method has a default, so that a service defines only those it needs. `name` is used for tasks and in logs.
    """

    name: str
    phase: Phase

    async def start(self) -> None:
        """Starts the work in the background. Services of earlier phases have started."""
        return

    def begin_drain(self) -> None:
        """Refuses new work from clients from now on. Called on all services before any of them is drained."""
        return

    async def drain(self, seconds: float) -> None:
        """Starts no new work, and finishes the work in progress within this time."""
        return

    async def stop(self) -> None:
        """Ends the work within a second, drained or not. Called once. A no-op for a service that has not started."""
        return
