"""The health checks of the store, the backplane, event sources, draining and tokens. Those of outbound channels are in
application.delivery.dispatcher_service."""

from application.access.identify import IdentifyCaller
from application.hub.hub import Hub
from application.ingest.ingest_events import ConsumeEvents
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.health_check import CheckResult
from application.ports.store import Store


class CheckStore:
    """Health check: passes if the store can be written now. Implements HealthCheck."""

    name = "store"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self) -> CheckResult:
        await self._store.ping()
        return CheckResult(True)


class CheckBackplane:
    """Health check: passes if the backplane carries messages between nodes. Implements HealthCheck. Not vital: without
    the backplane, the hubs find new entries in the store, some seconds later."""

    name = "backplane"

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane

    async def __call__(self) -> CheckResult:
        error = self._backplane.fault
        detail = f"messages between nodes are seconds late: {error}" if error else ""
        return CheckResult(error is None, detail, vital=False)


class CheckSource:
    """Health check of one event source: passes if its events are consumed and stored. Implements HealthCheck. Fails if
    events can't be read or stored, if the source is not ready, or if it has not polled the broker for more than
    `max_poll_age_s` seconds."""

    def __init__(self, consumer: ConsumeEvents, clock: Clock) -> None:
        self._consumer = consumer
        self._clock = clock

    @property
    def name(self) -> str:
        return self._consumer.source.name

    async def __call__(self) -> CheckResult:
        source, status = self._consumer.source, self._consumer.source.status()
        if self._consumer.fault is not None:
            return CheckResult(False, self._consumer.fault)
        if not status.ready:
            return CheckResult(False, status.reason)
        if status.last_poll is not None and source.max_poll_age_s is not None:
            age_s = (self._clock.now() - status.last_poll).total_seconds()
            if age_s > source.max_poll_age_s:
                return CheckResult(False, f"the last poll was {age_s:.0f} s ago")
        return CheckResult(True, status.reason)


class CheckDraining:
    """Health check: fails once this node has begun to shut down. Implements HealthCheck."""

    name = "draining"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self) -> CheckResult:
        return CheckResult(not self._hub.draining, "this node is shutting down" if self._hub.draining else "")


class CheckTokens:
    """Health check: fails while no token can be verified, for example because the keys have not been fetched yet.
    Implements HealthCheck. Always passes with HERALD_AUTH=open."""

    name = "tokens"

    def __init__(self, identify: IdentifyCaller) -> None:
        self._identify = identify

    async def __call__(self) -> CheckResult:
        return CheckResult(self._identify.fault is None, self._identify.fault or "")
