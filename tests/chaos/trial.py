"""A trial: faults under a steady load with clients of every kind, and an audit after each fault."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.audit import Audit, audit_store, stored_numbers
from tests.chaos.clients import Client, EventSource, Follower, PlainSocket
from tests.chaos.deployment import RECOVERY_TIMEOUT_S, Deployment, Services, running_deployment
from tests.chaos.faults import FAULTS
from tests.support.watchers import alongside

# Of this many clients, one is a plain socket, one a plain event stream, and the others speak herald.v1.
CLIENTS_PER_PLAIN_ONE: Final = 10

# How long to wait for duplicates after the last expected entry.
DUPLICATES_WAIT_S: Final = 1.0


class TrialSize(msgspec.Struct, frozen=True):
    """`rate` is events per second, each for two users and the feed; `lead` the seconds of load before the fault and
    after the recovery."""

    clients: int = 500
    users: int = 100
    rate: int = 20
    lead: float = 5.0


class TrialResult(msgspec.Struct, frozen=True):
    """`offline` is the longest time that a client had no session, `latency` the longest time from an event to a client
    that can resume, `recovery` the time from the end of the fault until the deployment had recovered; all in seconds.
    `gaps` counts the gaps that clients were notified of. All but `recovery` are of the whole trial until now."""

    events: int
    store: Audit
    clients: Audit
    gaps: int
    offline: float
    latency: float
    recovery: float

    @property
    def violations(self) -> int:
        return self.store.violations + self.clients.violations + self.gaps


class Trial:
    """A running deployment with connected clients."""

    def __init__(self, deployment: Deployment, clients: Sequence[Client], size: TrialSize) -> None:
        self._deployment = deployment
        self._clients = clients
        self._size = size

    async def inject(self, fault: str) -> TrialResult:
        """Inject the fault under load, wait for the recovery, and audit everything since the start of the trial."""
        deployment, clients = self._deployment, self._clients
        async with deployment.load.steady(self._size.rate):
            await asyncio.sleep(self._size.lead)
            await FAULTS[fault](deployment)
            fault_ended = time.monotonic()
            await deployment.recovered()
            recovery = time.monotonic() - fault_ended
            await _all_connected(clients)
            await asyncio.sleep(self._size.lead)
        stored = await _all_stored(deployment)
        await _all_received(stored, clients)
        return TrialResult(
            events=deployment.load.published,
            store=audit_store(stored, deployment.load),
            clients=sum((client.audit(stored) for client in clients), Audit()),
            gaps=sum(client.gaps for client in clients),
            offline=max(client.longest_offline for client in clients),
            latency=max(client.latency for client in clients if not isinstance(client, PlainSocket)),
            recovery=recovery,
        )


@asynccontextmanager
async def running_trial(services: Services, size: TrialSize, directory: Path) -> AsyncIterator[Trial]:
    async with (
        running_deployment(services, size.users, directory) as deployment,
        _connected_clients(deployment, size) as clients,
    ):
        yield Trial(deployment, clients, size)


async def run_trial(fault: str, services: Services, size: TrialSize, directory: Path) -> TrialResult:
    """A trial of one fault."""
    async with running_trial(services, size, directory) as trial:
        return await trial.inject(fault)


@asynccontextmanager
async def _connected_clients(deployment: Deployment, size: TrialSize) -> AsyncIterator[Sequence[Client]]:
    """All clients have a session when the block starts."""
    clients: list[Client] = []
    load = deployment.load
    for number in range(size.clients):
        kind = {0: PlainSocket, 1: EventSource}.get(number % CLIENTS_PER_PLAIN_ONE, Follower)
        user = load.users[number % size.users]
        clients.append(kind(deployment.nodes, number + number // CLIENTS_PER_PLAIN_ONE, user, load.times))
    async with alongside(*(client.run() for client in clients)):
        await _all_connected(clients)
        yield clients


async def _all_connected(clients: Sequence[Client]) -> None:
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        await asyncio.gather(*(client.connected.wait() for client in clients))


async def _all_stored(deployment: Deployment) -> dict[str, list[int]]:
    """The stored numbers, once every published event is stored, or after the timeout."""
    deadline = time.monotonic() + RECOVERY_TIMEOUT_S
    while True:
        stored = await asyncio.to_thread(stored_numbers, deployment.postgres, deployment.url)
        if audit_store(stored, deployment.load).lost == 0 or time.monotonic() > deadline:
            return stored
        await asyncio.sleep(0.5)


async def _all_received(stored: dict[str, list[int]], clients: Sequence[Client]) -> None:
    """Returns once every client has the last stored entry of its streams, or after the timeout, and after the wait for
    duplicates."""
    deadline = time.monotonic() + RECOVERY_TIMEOUT_S
    while not all(client.has_everything(stored) for client in clients) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    await asyncio.sleep(DUPLICATES_WAIT_S)
