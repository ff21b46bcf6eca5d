"""A node: all of Herald's own work in one process, started, drained and stopped in the right order."""

import asyncio
from collections.abc import Sequence

import structlog

from application.delivery.send_mails import SendMails
from application.hub.hub import Hub
from application.inbox.read_muted import ReadMuted
from application.ingest.ingest_events import ConsumeEvents
from application.ingest.keep_bindings import KeepBindings
from application.operations.prune_store import PruneStore
from application.ports.backplane import Backplane

log = structlog.get_logger(__name__)


class Node:
    """Consumers, their bindings, hub, backplane, mails and pruning of this process.

    Leaving, readiness turns red first; then the consumers store and acknowledge what they hold and take no more; then
    the clients go, spread over the time there is. So nothing is acknowledged and not stored, and what is stored last
    is still delivered here. Mails that were begun have all of that time to be sent, and no others are begun.
    """

    def __init__(
        self,
        hub: Hub,
        backplane: Backplane,
        consumers: Sequence[ConsumeEvents],
        send_mails: SendMails,
        prune_store: PruneStore,
        read_muted: ReadMuted,
        keep_bindings: KeepBindings,
    ) -> None:
        self._hub = hub
        self._backplane = backplane
        self._consumers = consumers
        self._send_mails = send_mails
        self._prune_store = prune_store
        self._read_muted = read_muted
        self._keep_bindings = keep_bindings
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._backplane.open(self._hub)
        self._running = [
            asyncio.create_task(self._hub.run(), name="hub"),
            asyncio.create_task(self._prune_store.run(), name="prune"),
            asyncio.create_task(self._read_muted.run(), name="read muted"),
        ]
        self._send_mails.start()
        await self._keep_bindings.start()
        for consumer in self._consumers:
            await consumer.start()

    async def drain(self, seconds: float) -> None:
        """Takes `seconds` and one more at most, a batch in work included."""
        self._hub.draining = True
        log.info("node_draining", timeout_s=seconds, sessions=len(self._hub.sessions))
        deadline = asyncio.get_running_loop().time() + seconds
        # Half the time for the stores that are slow; what is not stored by then was not acknowledged, and comes again
        # elsewhere.
        mails = asyncio.create_task(self._send_mails.stop(seconds))
        await asyncio.gather(*(consumer.stop(seconds / 2) for consumer in self._consumers))
        await self._hub.drain(max(deadline - asyncio.get_running_loop().time(), 0.5))
        await mails

    async def stop(self) -> None:
        """Ends everything; after a drain, or without one."""
        await asyncio.gather(self._send_mails.stop(0.5), *(consumer.stop(0.5) for consumer in self._consumers))
        await self._keep_bindings.stop()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._backplane.close()
