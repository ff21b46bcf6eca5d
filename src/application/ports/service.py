"""The port for services: the parts of a node that run while the node runs."""

from enum import IntEnum
from typing import Protocol


class Phase(IntEnum):
    """The phase in which a service starts. Services of a lower phase start earlier and stop later."""

    LIVE = 1  # entries reach the sessions of this node
    MAINTENANCE = 2  # background work on the store
    DELIVERY = 3  # deliveries are sent through their channels
    PREPARATION = 4  # work that must be done before events are consumed
    INGEST = 5  # events are consumed and stored
    CLIENTS = 6  # clients are accepted at a listener beside the HTTP server


class Service(Protocol):
    """A part of a node that works in the background, for example a consumer of events. Node starts, drains and stops
    all services.

    Each method does nothing by default, so that a service implements only those it needs. `name` is the service's name
    in logs and the name of its asyncio task.
    """

    name: str
    phase: Phase

    async def start(self) -> None:
        """Starts the work in the background. All services of earlier phases have been started before."""
        return

    def begin_drain(self) -> None:
        """Refuses new clients from now on, because the node is shutting down. Node calls this on all services before it
        drains any of them."""
        return

    async def drain(self, seconds: float) -> None:
        """Starts no new work, and waits at most `seconds` for the work in progress to finish."""
        return

    async def stop(self) -> None:
        """Ends the work within 1 s, whether the service has been drained or not. Called once. A no-op if the service
        was not started."""
        return
