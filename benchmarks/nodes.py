"""Nodes that share a PostgreSQL and a Redis, and what each part of this has had of the processors.

All nodes are on one core, since the other is for clients and services. So together they are no quicker than one;
what can be seen is what each of them does.
"""

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.clients import Crowd, PlainSocket, crowd
from benchmarks.postgres import Postgres, postgres
from benchmarks.servers import READY, Server, herald, processor_time
from tests.support.redis import RealRedis, missing

__all__ = ["Services", "Site", "Spent", "crowds", "heard", "missing", "services", "site"]


class Services(NamedTuple):
    """What nodes share."""

    database: Postgres
    redis: RealRedis


class Spent(NamedTuple):
    """Seconds of processor time."""

    nodes: tuple[float, ...]
    database: float
    redis: float

    def minus(self, other: "Spent") -> "Spent":
        nodes = tuple(mine - its for mine, its in zip(self.nodes, other.nodes, strict=True))
        return Spent(nodes, self.database - other.database, self.redis - other.redis)

    def times(self, factor: float) -> "Spent":
        return Spent(tuple(node * factor for node in self.nodes), self.database * factor, self.redis * factor)

    def each(self, count: float) -> "Spent":
        """Microseconds for each of so many things."""
        return self.times(1e6 / count)


class Site(NamedTuple):
    nodes: tuple[Server, ...]
    services: Services
    url: str
    """The database's."""

    def spent(self) -> Spent:
        database, redis = (processor_time(*service.pids) for service in self.services)
        return Spent(tuple(node.cpu for node in self.nodes), database, redis)

    async def spent_in(self, seconds: float) -> Spent:
        before = self.spent()
        await asyncio.sleep(seconds)
        return self.spent().minus(before)


@contextmanager
def services() -> Iterator[Services]:
    with postgres() as database, tempfile.TemporaryDirectory() as directory:
        redis = RealRedis(Path(directory))
        try:
            redis.start()
            yield Services(database, redis)
        finally:
            redis.stop()


@asynccontextmanager
async def site(
    shared: Services, count: int, *, joined: bool = True, ready: str = READY, **environment: str
) -> AsyncIterator[Site]:
    """So many nodes on a new database; without Redis unless they are `joined`."""
    url = shared.database.create()
    settings: Mapping[str, str] = {"DATABASE_URL": url, "HERALD_REDIS_PREFIX": uuid.uuid4().hex} | environment
    if joined:
        settings |= {"REDIS_URL": shared.redis.url}
    try:
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(herald(ready=ready, **settings)) for _ in range(count)]
            yield Site(tuple(nodes), shared, url)
    finally:
        shared.database.drop(url)


async def heard(node: Server) -> int:
    """How many messages of the backplane a node has had."""
    _, answer = await node.request("GET", "/metrics")
    return int(json.loads(answer)["backplane"].get("received", 0))


@asynccontextmanager
async def crowds(at: Site, requests: Sequence[bytes]) -> AsyncIterator[list[Crowd]]:
    """Plain sockets, dealt out to the nodes by turns."""
    async with AsyncExitStack() as stack:
        count = len(at.nodes)
        yield [
            await stack.enter_async_context(crowd(node.port, PlainSocket, requests[first::count]))
            for first, node in enumerate(at.nodes)
        ]
