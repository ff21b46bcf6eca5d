"""Health: what this process can truthfully say of itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from application.access.identify import IdentifyCaller
from application.delivery.send_mails import SendMails
from application.hub.hub import Hub
from application.ingest.ingest_events import ConsumeEvents
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.event_source import SourceStatus
from application.ports.store import Store

# Seconds a dependency has for answering. A probe of Kubernetes waits a second or more; nobody waits for longer than
# this.
PATIENCE: Final = 2.0

# Seconds without a poll after which a source that calls itself ready is not believed.
STALE_POLL: Final = 60.0


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. `detail` says what is wrong, or what is worth knowing; `untried` that nothing is
    known yet. What is not `vital` may be wrong for a while without anything being lost, or kept from the clients
    who are here."""

    ok: bool
    detail: str = ""
    vital: bool = True
    untried: bool | UnsetType = UNSET


class Health(msgspec.Struct, frozen=True):
    """`ready`: new clients are welcome, and events published now will reach them. `degraded`: that holds, and something
    else is wrong."""

    ready: bool
    degraded: bool
    checks: dict[str, Check]
    sources: tuple[SourceStatus, ...]


class ReportHealth:
    """Asks everything that Herald depends on, at once, and believes no one who does not answer."""

    def __init__(
        self,
        consumers: Sequence[ConsumeEvents],
        store: Store,
        backplane: Backplane,
        hub: Hub,
        send_mails: SendMails,
        clock: Clock,
        identify: IdentifyCaller,
    ) -> None:
        self._consumers = consumers
        self._store = store
        self._backplane = backplane
        self._hub = hub
        self._send_mails = send_mails
        self._clock = clock
        self._identify = identify

    async def __call__(self) -> Health:
        checks = {"store": await _ping(self._store.ping), "backplane": self._carrying()}
        statuses = tuple(consumer.source.status() for consumer in self._consumers)
        for consumer, status in zip(self._consumers, statuses, strict=True):
            checks[status.name] = self._source(consumer, status)
        checks["draining"] = Check(not self._hub.draining, "this node is about to leave" if self._hub.draining else "")
        checks["mail"] = self._mail()
        checks["tokens"] = Check(self._identify.fault is None, self._identify.fault or "")
        ready = all(check.ok for check in checks.values() if check.vital)
        return Health(ready, ready and not all(check.ok for check in checks.values()), checks, statuses)

    def _carrying(self) -> Check:
        # Without it everything arrives all the same, by the hubs' own comparison with the store.
        fault = self._backplane.fault
        return Check(fault is None, f"messages between nodes are seconds late: {fault}" if fault else "", vital=False)

    def _mail(self) -> Check:
        mails = self._send_mails
        known = f"{mails.server}: not tried yet" if mails.untried else mails.server
        return Check(mails.fault is None, mails.fault or known, vital=False, untried=mails.untried or UNSET)

    def _source(self, consumer: ConsumeEvents, status: SourceStatus) -> Check:
        if consumer.fault is not None:
            return Check(False, consumer.fault)
        if not status.ready:
            return Check(False, status.reason)
        if status.last_poll is not None and status.name != "memory":
            age = (self._clock.now() - status.last_poll).total_seconds()
            if age > STALE_POLL:
                return Check(False, f"the last poll was {age:.0f} s ago")
        return Check(True, status.reason)


async def _ping(ping: Callable[[], Awaitable[None]]) -> Check:
    try:
        async with asyncio.timeout(PATIENCE):
            await ping()
    except TimeoutError:
        return Check(False, f"no answer within {PATIENCE:.0f} s")
    except Exception as fault:
        return Check(False, str(fault) or type(fault).__name__)
    return Check(True)
