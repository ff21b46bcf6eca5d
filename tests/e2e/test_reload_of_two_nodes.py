"""Two real nodes on one Kafka and one RabbitMQ are reloaded one after the other: no event is lost, stored twice, or
stored as a dead letter."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.rabbitmq import RealRabbit
from tests.support.reading import until
from tests.support.reloading import reload, routes_version
from tests.support.server import Server

HEAD = """
profile = "{profile}"
broker = "{broker}"
"""
ROUTE = """
[[routes]]
source = "{source}"
users = ["to"]
id = "number"
"""


class Nodes:
    """The nodes `a` and `b`, which read the same routes file for each broker, and a publisher for each broker."""

    def __init__(self, kafka: RealKafka, rabbit: RealRabbit, postgres: Postgres, folder: Path) -> None:
        self.name = f"n{uuid.uuid4().hex}"
        self.kafka, self.rabbit = kafka, rabbit
        self.files = [folder / "kafka.toml", folder / "rabbitmq.toml"]
        for topic in ("first", "second"):
            kafka.create_topic(self.source(topic), 4)
        self.write("first")
        env = {
            "DATABASE_URL": postgres.create(),
            "HERALD_AUTH": "open",
            "HERALD_ROUTES": str(folder),
            "HERALD_LOG_FORMAT": "json",
            "HERALD_REST_RATE": "0",
            "KAFKA_BROKERS": kafka.servers,
            "HERALD_KAFKA_GROUP": self.name,
            "RABBITMQ_HOST": "127.0.0.1",
            "HERALD_RABBITMQ_PORT": str(rabbit.port),
            "RABBITMQ_EXCHANGE": self.name,
            "RABBITMQ_QUEUE": self.name,
        }
        self.a, self.b = (Server(env | {"HERALD_NODE": node}, ("serve",)) for node in "ab")
        self.published: dict[str, int] = {}

    def source(self, word: str) -> str:
        return f"{self.name}.{word}"

    def routes(self, broker: str, *words: str) -> str:
        routes = "".join(ROUTE.format(source=self.source(word)) for word in words)
        return HEAD.format(profile=broker, broker=broker) + routes

    def write(self, *words: str) -> None:
        for file in self.files:
            file.write_text(self.routes(file.stem, *words))

    async def publish(self, word: str) -> None:
        """Publish one event to each broker, for the user `<broker>-<word>`."""
        number = self.published.get(word, 0)
        body = '{{"to": "{}-{}", "number": {}}}'
        record = body.format("kafka", word, number).encode()
        await asyncio.to_thread(self.kafka.produce, self.source(word), [record], partition=number % 4)
        await self.rabbit.publish(self.name, self.source(word), [body.format("rabbitmq", word, number).encode()])
        self.published[word] = number + 1

    async def received(self, broker: str, word: str) -> int:
        async with httpx.AsyncClient(base_url=self.a.url) as client:
            path = "/api/v2/notifications/unread-count"
            answer = await client.get(path, params={"user_id": f"{broker}-{word}"})
        count: int = answer.json()["unread_count"]
        return count

    async def dead_letters(self) -> Any:
        async with httpx.AsyncClient(base_url=self.a.url) as client:
            return (await client.get("/api/v1/dead-letters")).json()["data"]


@pytest.fixture
def nodes(real_kafka: RealKafka, real_rabbit: RealRabbit, postgres: Postgres, tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(real_kafka, real_rabbit, postgres, tmp_path)
    try:
        nodes.a.launch()
        nodes.b.launch()
        for server in (nodes.a, nodes.b):
            server.wait_for("/health/ready")
        yield nodes
    finally:
        for server in (nodes.a, nodes.b):
            server.kill()
            print(server.log[-20_000:])


async def test_a_source_is_added_while_nodes_are_reloaded_one_after_the_other(nodes: Nodes) -> None:
    done = asyncio.Event()

    async def publish_all(word: str) -> None:
        while not done.is_set():
            await nodes.publish(word)

    publishing = [asyncio.create_task(publish_all("first"))]
    await published(nodes, "first", 10)
    nodes.write("first", "second")
    # The node that is not the first to be reloaded may be RabbitMQ's active consumer.
    await asyncio.to_thread(reload, nodes.a, nodes.files[0], nodes.routes("kafka", "first", "second"))
    await until(lambda: "bindings_deferred" in nodes.a.log)
    publishing.append(asyncio.create_task(publish_all("second")))
    await published(nodes, "second", 10)
    unbound_at = nodes.published["second"]
    await asyncio.to_thread(reload, nodes.b, nodes.files[0], nodes.routes("kafka", "first", "second"))
    await until(lambda: "bindings_created" in nodes.b.log)
    bound_at = nodes.published["second"]
    await published(nodes, "second", bound_at + 10)
    done.set()
    await asyncio.gather(*publishing)
    assert routes_version(nodes.a) == routes_version(nodes.b)

    await received(nodes, "kafka", "first", lambda count: count == nodes.published["first"])
    await received(nodes, "rabbitmq", "first", lambda count: count == nodes.published["first"])
    # Kafka keeps events of the topic from the first reload on; RabbitMQ drops those before the key was bound.
    # An event may be on its way to the broker when the numbers are read.
    least, most = (nodes.published["second"] - number for number in (bound_at + 1, unbound_at - 1))
    await received(nodes, "rabbitmq", "second", lambda count: least <= count <= most)
    await received(nodes, "kafka", "second", lambda count: count >= least)
    assert await nodes.dead_letters() == []


async def published(nodes: Nodes, word: str, events: int) -> None:
    await until(lambda: nodes.published.get(word, 0) >= events, 60, lambda: nodes.published)


async def received(nodes: Nodes, broker: str, word: str, expected: Callable[[int], bool]) -> None:
    count = -1
    async with asyncio.timeout(30):
        while not expected(count):
            count = await nodes.received(broker, word)
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert expected(await nodes.received(broker, word))
