"""Nodes that share a PostgreSQL and a Redis, and the CPU time of each component.

All nodes run on one core, because the other is for clients and services. So the benchmarks show the work of each node,
not the speed of several nodes.
"""

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.clients import ClientGroup, PlainSocket, client_group
from benchmarks.postgres import Postgres, postgres
from benchmarks.servers import READY, Server, Serving, herald, processor_time
from tests.support.redis import RealRedis, missing

__all__ = [
    "CpuTime",
    "Deployment",
    "Services",
    "client_groups",
    "missing",
    "received_messages",
    "running_deployment",
    "services",
]


class Services(NamedTuple):
    """The PostgreSQL and the Redis that the nodes share."""

    database: Postgres
    redis: RealRedis


class CpuTime(NamedTuple):
    """The CPU time of each component, in seconds."""

    nodes: tuple[float, ...]
    database: float
    redis: float

    def minus(self, other: "CpuTime") -> "CpuTime":
        nodes = tuple(mine - its for mine, its in zip(self.nodes, other.nodes, strict=True))
        return CpuTime(nodes, self.database - other.database, self.redis - other.redis)

    def times(self, factor: float) -> "CpuTime":
        return CpuTime(tuple(node * factor for node in self.nodes), self.database * factor, self.redis * factor)

    def each(self, count: float) -> "CpuTime":
        """Returns the CPU times in microseconds, divided by `count`."""
        return self.times(1e6 / count)


class Deployment(NamedTuple):
    nodes: tuple[Server, ...]
    services: Services
    url: str
    """The URL of the database."""

    def cpu_time(self) -> CpuTime:
        database, redis = (processor_time(*service.pids) for service in self.services)
        return CpuTime(tuple(node.cpu for node in self.nodes), database, redis)

    async def cpu_time_in(self, seconds: float) -> CpuTime:
        before = self.cpu_time()
        await asyncio.sleep(seconds)
        return self.cpu_time().minus(before)


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
async def running_deployment(
    shared: Services,
    count: int,
    *,
    joined: bool = True,
    ready: str = READY,
    serving: Callable[..., Serving] = herald,
    **environment: str,
) -> AsyncIterator[Deployment]:
    """Starts `count` nodes with a new database. With `joined`, they are connected by Redis.
    `serving` starts a node: `herald`, or `second_listener` for one with a second listener."""
    url = shared.database.create()
    settings: Mapping[str, str] = {"DATABASE_URL": url, "HERALD_REDIS_PREFIX": uuid.uuid4().hex} | environment
    if joined:
        settings |= {"REDIS_URL": shared.redis.url}
    try:
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(serving(ready=ready, **settings)) for _ in range(count)]
            yield Deployment(tuple(nodes), shared, url)
    finally:
        shared.database.drop(url)


async def received_messages(node: Server) -> int:
    """Returns the number of backplane messages that a node has received."""
    _, answer = await node.request("GET", "/metrics")
    return int(json.loads(answer)["backplane"].get("received", 0))


@asynccontextmanager
async def client_groups(deployment: Deployment, requests: Sequence[bytes]) -> AsyncIterator[list[ClientGroup]]:
    """Connects plain sockets, distributed evenly over the nodes. Yields a group of clients for each node."""
    async with AsyncExitStack() as stack:
        count = len(deployment.nodes)
        yield [
            await stack.enter_async_context(client_group(node.port, PlainSocket, requests[first::count]))
            for first, node in enumerate(deployment.nodes)
        ]
