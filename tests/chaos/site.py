"""A site: two Herald nodes, and the Kafka, the PostgreSQL and the Redis that they share."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support.clients import until_http
from tests.support.kafka import RealKafka
from tests.support.load import Load
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis
from tests.support.server import Server

# Seconds for nodes to be ready again after whatever was done: Kafka gives a dead node's share away after 6 s, and the
# longest pause between two attempts at anything is 10 s.
RECOVERY: Final = 45.0

PARTITIONS: Final = 4


class Services(msgspec.Struct, frozen=True):
    """What nodes depend on."""

    kafka: RealKafka
    postgres: Postgres
    redis: RealRedis


class Site:
    """Two nodes on a database, a topic and a prefix of their own."""

    def __init__(self, services: Services, load: Load, url: str, directory: Path) -> None:
        self.kafka, self.postgres, self.redis = services.kafka, services.postgres, services.redis
        self.load = load
        self.url = url
        env = {
            "KAFKA_BROKERS": services.kafka.servers,
            "DATABASE_URL": url,
            "REDIS_URL": services.redis.url,
            "HERALD_REDIS_PREFIX": load.topic,
            "HERALD_AUTH": "open",
            "HERALD_ROUTES": load.routes(directory),
            "HERALD_KAFKA_GROUP": load.topic,
            "HERALD_KAFKA_START": "earliest",
            # A client finds out by this that its node is frozen.
            "HERALD_HEARTBEAT_SECONDS": "2",
        }
        self.nodes = [Server(env | {"HERALD_NODE": name}, ("serve",)) for name in ("one", "two")]

    async def start(self, node: Server) -> None:
        """Returns once it is ready."""
        await asyncio.to_thread(node.start, True)

    async def stop(self, node: Server) -> None:
        """As an operator would: clients are told, and move on."""
        assert await asyncio.to_thread(node.stop) == 0, node.log[-4_000:]

    @asynccontextmanager
    async def frozen(self, node: Server) -> AsyncIterator[None]:
        signal_to(node, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_to(node, signal.SIGCONT)

    async def recovered(self) -> None:
        """Returns once both nodes are ready and healthy, and share the topic."""
        for node in self.nodes:
            await until_http(node, "/health", lambda body: body["status"] == "healthy", RECOVERY)
            await until_http(node, "/health", _has_its_share, RECOVERY)


def _has_its_share(health: Any) -> bool:
    return any(len(source["assigned"]) == PARTITIONS // 2 for source in health["sources"])


def signal_to(node: Server, how: signal.Signals) -> None:
    assert node.process is not None
    node.process.send_signal(how)


@asynccontextmanager
async def site(services: Services, users: int, directory: Path) -> AsyncIterator[Site]:
    """Both nodes are up, and share the topic."""
    load = Load(services.kafka, f"chaos-{uuid.uuid4().hex[:12]}", users=users, partitions=PARTITIONS)
    url = services.postgres.create()
    made = Site(services, load, url, directory)
    try:
        for node in made.nodes:
            node.launch()
        for node in made.nodes:
            await asyncio.to_thread(node.wait_for, "/health/ready")
        await made.recovered()
        yield made
    finally:
        for node in made.nodes:
            node.kill()
        services.postgres.drop(url)
