"""The deployment under test: two Herald nodes and the Kafka, PostgreSQL and Redis that they share."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tests.support.accounting import inboxes_complete
from tests.support.clients import until_http
from tests.support.kafka import RealKafka
from tests.support.load import Load
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis
from tests.support.server import Server

# Seconds until the nodes are ready after any fault: Kafka reassigns a dead node's partitions after 6 s, and the longest
# retry interval is 10 s.
RECOVERY_TIMEOUT_S: Final = 45.0

# Kept short, because clients detect a frozen node by missing heartbeats.
HEARTBEAT_S: Final = 2

PARTITIONS: Final = 4


class Services(msgspec.Struct, frozen=True):
    """The services that the nodes depend on."""

    kafka: RealKafka
    postgres: Postgres
    redis: RealRedis


class Deployment:
    """Two nodes with their own database, topic and Redis prefix."""

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
            "HERALD_HEARTBEAT_SECONDS": str(HEARTBEAT_S),
        }
        self.nodes = [Server(env | {"HERALD_NODE": name}, ("serve",)) for name in ("one", "two")]

    async def start(self, node: Server) -> None:
        """Returns once the node is ready."""
        await asyncio.to_thread(node.start, True)

    async def stop(self, node: Server) -> None:
        """Stops the node with SIGTERM, so that it drains its clients. Asserts exit code 0."""
        assert await asyncio.to_thread(node.stop) == 0, node.log[-4_000:]

    @asynccontextmanager
    async def frozen(self, node: Server) -> AsyncIterator[None]:
        _send_signal(node, signal.SIGSTOP)
        try:
            yield
        finally:
            _send_signal(node, signal.SIGCONT)

    async def recovered(self) -> None:
        """Returns once both nodes are ready and healthy and each has half of the partitions."""
        for node in self.nodes:
            await until_http(node, "/health", lambda body: body["status"] == "healthy", RECOVERY_TIMEOUT_S)
            await until_http(node, "/health", _has_partitions(PARTITIONS // 2), RECOVERY_TIMEOUT_S)

    async def taken_over_by(self, node: Server) -> None:
        """Returns once this node has all partitions and every inbox has all events of its user published so far."""
        await until_http(node, "/health", _has_partitions(PARTITIONS), RECOVERY_TIMEOUT_S)
        async with httpx.AsyncClient(base_url=node.url, timeout=20) as client:
            await inboxes_complete(client, self.load, RECOVERY_TIMEOUT_S)


def _has_partitions(count: int) -> Callable[[Any], bool]:
    return lambda health: any(len(source["assigned"]) == count for source in health["sources"])


def _send_signal(node: Server, number: signal.Signals) -> None:
    assert node.process is not None
    node.process.send_signal(number)


@asynccontextmanager
async def running_deployment(services: Services, users: int, directory: Path) -> AsyncIterator[Deployment]:
    """Both nodes are ready and share the partitions when the block starts."""
    load = Load(services.kafka, f"chaos-{uuid.uuid4().hex[:12]}", users=users, partitions=PARTITIONS)
    url = services.postgres.create()
    deployment = Deployment(services, load, url, directory)
    try:
        for node in deployment.nodes:
            node.launch()
        for node in deployment.nodes:
            await asyncio.to_thread(node.wait_for, "/health/ready")
        await deployment.recovered()
        yield deployment
    finally:
        for node in deployment.nodes:
            node.kill()
        services.postgres.drop(url)
