"""The service that pushes entries to clients: the hub with its backplane."""

import structlog

from application.hub.hub import Hub
from application.operations.background_task import BackgroundTask
from application.ports.backplane import Backplane
from application.ports.service import Phase, Service

log = structlog.get_logger(__name__)


class LiveService(Service):
    """The service that pushes entries to clients: runs the hub, and the backplane from which the hub receives
    entries."""

    name = "live"
    phase = Phase.LIVE

    def __init__(self, hub: Hub, backplane: Backplane) -> None:
        self._hub = hub
        self._backplane = backplane
        self._sweeps = BackgroundTask("hub", hub.run, Phase.LIVE)

    async def start(self) -> None:
        await self._backplane.open(self._hub)
        await self._sweeps.start()

    def begin_drain(self) -> None:
        """Makes the hub refuse new sessions. From now on `/health` reports the node as not ready (CheckDraining)."""
        self._hub.draining = True
        log.info("sessions_closing", sessions=len(self._hub.sessions))

    async def drain(self, seconds: float) -> None:
        await self._hub.drain(seconds)

    async def stop(self) -> None:
        await self._sweeps.stop()
        await self._backplane.close()
