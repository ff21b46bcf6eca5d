"""The health checks that every node has. Outbound channels have further ones (DispatcherService)."""

from application.access.identify import IdentifyCaller
from application.hub.hub import Hub
from application.ingest.ingest_events import ConsumeEvents
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.health_check import CheckResult
from application.ports.store import Store


class CheckStore:
    """Implements HealthCheck: the store can be written."""

    name = "store"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self) -> CheckResult:
        await self._store.ping()
        return CheckResult(True)


class CheckBackplane:
    """Implements HealthCheck: the backplane carries messages between nodes. Not vital: without it, the hubs find new
    entries by comparing their streams with the store."""

    name = "backplane"

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane

    async def __call__(self) -> CheckResult:
        error = self._backplane.fault
        detail = f"messages between nodes are seconds late: {error}" if error else ""
        return CheckResult(error is None, detail, vital=False)


class CheckSource:
    """Implements HealthCheck: the events of one source are consumed and stored. Fails even if the source reports that
    it is ready, if its last poll is too long ago."""

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
    """Implements HealthCheck: this node accepts new sessions."""

    name = "draining"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self) -> CheckResult:
        return CheckResult(not self._hub.draining, "this node is shutting down" if self._hub.draining else "")


class CheckTokens:
    """Implements HealthCheck: tokens can be verified."""

    name = "tokens"

    def __init__(self, identify: IdentifyCaller) -> None:
        self._identify = identify

    async def __call__(self) -> CheckResult:
        return CheckResult(self._identify.fault is None, self._identify.fault or "")
