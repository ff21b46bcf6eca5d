"""A node: the services of one process, started, drained and stopped in the right order."""

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
    """Runs the services of this process: they start in the order of their phases and stop in the reverse order.

    A drain first makes the node not ready. Then the consumers store and acknowledge their batches in progress and
    consume no more. Then the sessions are closed, spread over the remaining time. So no event is acknowledged without
    being stored, and the last stored entries are still pushed by this node. Deliveries in progress have the whole time
    to finish; no others are started.
    """

    def __init__(self, services: Sequence[Service], clock: Clock) -> None:
        self._services = sorted(services, key=lambda service: service.phase)
        self._clock = clock

    async def start(self) -> None:
        for service in self._services:
            await service.start()

    async def drain(self, seconds: float) -> None:
        """Drains all services within `seconds` + 1 s."""
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
        """Ends all services, drained or not."""
        for phase in sorted(Phase, reverse=True):
            await asyncio.gather(*(service.stop() for service in self._services if service.phase is phase))

    async def _drain(self, phase: Phase, seconds: float) -> None:
        await asyncio.gather(*(service.drain(seconds) for service in self._services if service.phase is phase))
