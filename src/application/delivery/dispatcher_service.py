"""A dispatcher as a service of a node: started, drained and stopped with the others, and checked by `/health`."""

from typing import Any, Final

from msgspec import UNSET

from application.delivery.dispatcher import Dispatcher
from application.ports.health_check import CheckResult
from application.ports.service import Phase, Service

# Seconds for attempts in progress to finish when the node stops without a drain.
STOP_S: Final = 0.5


class DispatcherService(Service):
    """Runs a dispatcher as a service of the node. It is also the health check of the channel, which fails while a peer
    is unavailable. The check is not vital: if it fails, the node stays ready, because deliveries wait in the store
    until their peer is available."""

    phase = Phase.DELIVERY

    def __init__(self, dispatcher: Dispatcher[Any], name: str) -> None:
        self._dispatcher = dispatcher
        self.name = name

    async def start(self) -> None:
        self._dispatcher.start()

    async def drain(self, seconds: float) -> None:
        await self._dispatcher.stop(seconds)

    async def stop(self) -> None:
        await self._dispatcher.stop(STOP_S)

    async def __call__(self) -> CheckResult:
        dispatcher = self._dispatcher
        peer = f"{dispatcher.peer}: not tried yet" if dispatcher.untried else dispatcher.peer
        error = dispatcher.error
        return CheckResult(error is None, error or peer, vital=False, untried=dispatcher.untried or UNSET)
