"""A node: starts, drains and stops the services of one process in the right order."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from application.ports.clock import Clock
from application.ports.service import Phase, Service

log = structlog.get_logger(__name__)

# The share of a drain's time in which consumers store and acknowledge their batches in progress.
INGEST_SHARE: Final = 0.5

# Closing sessions gets at least this much time, even if ingest has used more than its share.
MIN_CLOSING_S: Final = 0.5


class Node:
    """Starts, drains and stops the services of this process. Services start in the order of their phases
    (application.ports.service) and stop in the reverse order."""

    def __init__(self, services: Sequence[Service], clock: Clock) -> None:
        self._services = sorted(services, key=lambda service: service.phase)
        self._clock = clock

    async def start(self) -> None:
        for service in self._services:
            await service.start()

    async def drain(self, seconds: float) -> None:
        """Finishes the work in progress before the process ends, within `seconds` + 1 s.

        First, the node refuses new clients, and `/health` reports it as not ready. Then each consumer stores and
        acknowledges its current batch and takes no other. Then the sessions are closed, spread over the remaining time;
        before that, their clients receive the last stored entries. Deliveries in progress may use the whole time; no
        new ones are started.
        """
        deadline = self._clock.monotonic() + seconds
        log.info("node_draining", timeout_s=seconds)
        for service in self._services:
            service.begin_drain()
        deliveries = asyncio.create_task(self._drain(Phase.DELIVERY, seconds))
        # Events that are not stored in time are not acknowledged either: the broker redelivers them to another node.
        await self._drain(Phase.INGEST, seconds * INGEST_SHARE)
        await self._drain(Phase.LIVE, max(deadline - self._clock.monotonic(), MIN_CLOSING_S))
        await deliveries

    async def stop(self) -> None:
        """Stops all services, whether they have been drained or not."""
        for phase in sorted(Phase, reverse=True):
            await asyncio.gather(*(service.stop() for service in self._services if service.phase is phase))

    async def _drain(self, phase: Phase, seconds: float) -> None:
        await asyncio.gather(*(service.drain(seconds) for service in self._services if service.phase is phase))
