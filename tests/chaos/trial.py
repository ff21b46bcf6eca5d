"""A trial: one fault, under a steady load, with clients of every kind; and the account at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.account import Account, judge_store, kept
from tests.chaos.clients import Client, EventSource, Follower, PlainSocket
from tests.chaos.faults import FAULTS
from tests.chaos.site import RECOVERY, Services, Site, site
from tests.support.watchers import alongside

# One in so many clients is a plain socket, and one in so many a plain event stream; all others can resume.
PLAIN: Final = 10

# Seconds for what comes twice.
AFTERWARDS: Final = 1.0


class Size(msgspec.Struct, frozen=True):
    """`rate` is events a second, each for two users and for everyone; `lead` the seconds of load before the fault and
    after the recovery."""

    clients: int = 500
    users: int = 100
    rate: int = 20
    lead: float = 5.0


class Result(msgspec.Struct, frozen=True):
    """`away` is the longest time that a client had no session, `late` the longest from an event to a client who can
    resume, `recovery` the time from the end of the fault until the site was whole again; all in seconds."""

    events: int
    store: Account
    clients: Account
    gaps: int
    away: float
    late: float
    recovery: float

    @property
    def faults(self) -> int:
        return self.store.faults + self.clients.faults + self.gaps


async def run(fault: str, services: Services, size: Size, directory: Path) -> Result:
    async with site(services, size.users, directory) as at, _clients(at, size) as clients:
        async with at.load.steady(size.rate):
            await asyncio.sleep(size.lead)
            await FAULTS[fault](at)
            began = time.monotonic()
            await at.recovered()
            recovery = time.monotonic() - began
            await _all_here(clients)
            await asyncio.sleep(size.lead)
        found = await _settled(at)
        await _shown(found, clients)
        return Result(
            events=at.load.published,
            store=judge_store(found, at.load),
            clients=sum((client.account(found) for client in clients), Account()),
            gaps=sum(client.gaps for client in clients),
            away=max(client.seconds_away for client in clients),
            late=max(client.late for client in clients if not isinstance(client, PlainSocket)),
            recovery=recovery,
        )


@asynccontextmanager
async def _clients(at: Site, size: Size) -> AsyncIterator[Sequence[Client]]:
    """All of them have a session before the block begins."""
    clients: list[Client] = []
    for number in range(size.clients):
        kind = {0: PlainSocket, 1: EventSource}.get(number % PLAIN, Follower)
        clients.append(kind(at.nodes, number + number // PLAIN, at.load.users[number % size.users], at.load.times))
    async with alongside(*(client.run() for client in clients)):
        await _all_here(clients)
        yield clients


async def _all_here(clients: Sequence[Client]) -> None:
    async with asyncio.timeout(RECOVERY):
        await asyncio.gather(*(client.here.wait() for client in clients))


async def _settled(at: Site) -> dict[str, list[int]]:
    """What is kept, once everything is that was published; or, after a time, what there is."""
    deadline = time.monotonic() + RECOVERY
    while True:
        found = await asyncio.to_thread(kept, at.postgres, at.url)
        if judge_store(found, at.load).lost == 0 or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.5)


async def _shown(found: dict[str, list[int]], clients: Sequence[Client]) -> None:
    """Returns once every client was shown the last of all that is kept, or after a time; and a moment later."""
    deadline = time.monotonic() + RECOVERY
    while not all(client.has_everything(found) for client in clients) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    await asyncio.sleep(AFTERWARDS)
