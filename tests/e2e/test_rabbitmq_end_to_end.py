"""From a real RabbitMQ to clients, under all faults in between."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.clients import connect, frame, until_http
from tests.support.kafka import RealKafka
from tests.support.rabbitmq import RealRabbit
from tests.support.reading import until
from tests.support.server import Server
from tests.support.watchers import alongside

# RabbitMQ 3.10 persists a new quorum queue within a second, and loses it if killed before.
WRITTEN_DOWN = 2.0


@pytest.fixture
def queue() -> str:
    """A unique name for queue and exchange."""
    return _name()


def _name() -> str:
    return f"orders-{uuid.uuid4().hex}"


class Node(NamedTuple):
    """A server and its queue. The exchange has the same name."""

    server: Server
    queue: str


@pytest.fixture(scope="module")
def node(real_rabbit: RealRabbit, real_kafka: RealKafka) -> Iterator[Node]:
    """One server on both brokers: orders come from RabbitMQ, signals from Kafka."""
    real_kafka.ensure_topic("trading_signals")
    queue = _name()
    both = {"HERALD_PROFILE": "orders,signals", "KAFKA_BROKERS": real_kafka.servers, "HERALD_KAFKA_GROUP": queue}
    server = Server(env(real_rabbit, queue, **both), ("serve",)).start(ready=True)
    yield Node(server, queue)
    server.kill()
    print(server.log[-20_000:])


def env(rabbit: RealRabbit, queue: str, **more: str) -> dict[str, str]:
    return {
        "RABBITMQ_HOST": "127.0.0.1",
        "HERALD_RABBITMQ_PORT": str(rabbit.port),
        "RABBITMQ_EXCHANGE": queue,
        "RABBITMQ_QUEUE": queue,
        "HERALD_AUTH": "open",
        "HERALD_PROFILE": "orders",
    } | more


def order(number: int) -> dict[str, Any]:
    return {"order_id": f"o-{number}", "customer_email": "kim@example.com", "total": number}


def orders(count: int, start: int = 0) -> list[bytes]:
    return [json.dumps(order(number)).encode() for number in range(start, start + count)]


async def received(socket: Any, count: int, seconds: float = 40) -> list[dict[str, Any]]:
    async with asyncio.timeout(seconds):
        return [json.loads(await socket.recv()) for _ in range(count)]


def numbers(frames: Sequence[dict[str, Any]]) -> list[int]:
    return [one["data"]["total"] for one in frames]


async def sources_of(server: Server) -> dict[str, dict[str, Any]]:
    body = await until_http(server, "/health/ready", lambda _: True, 10)
    return {one["name"]: one for one in body["sources"]}


async def silent(socket: Any) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), 0.5)


async def test_orders_arrive_once_and_in_order(real_rabbit: RealRabbit, node: Node) -> None:
    async with connect(f"{node.server.ws_url}/ws") as socket:
        await real_rabbit.publish(node.queue, "order.created", orders(100))
        frames = await received(socket, 100)
        assert numbers(frames) == list(range(100))
        assert {one["type"] for one in frames} == {"order.created"}
        await real_rabbit.publish(node.queue, "order.elsewhere", orders(1))
        await real_rabbit.publish(node.queue, "order.status.updated", [b'{"order_id": "o-1", "status": "shipped"}'])
        (update,) = await received(socket, 1)
        assert (update["type"], update["data"]["status"]) == ("order.status.updated", "shipped")
        await silent(socket)


async def test_events_published_by_the_command_line_tool(real_rabbit: RealRabbit, node: Node) -> None:
    address = f"--url=amqp://guest:guest@127.0.0.1:{real_rabbit.port}"
    command = ["amqp-publish", address, f"--exchange={node.queue}", "--routing-key=order.created"]
    async with connect(f"{node.server.ws_url}/ws") as socket:
        for number in (1, 2, 2):
            body = json.dumps(order(number))
            await asyncio.to_thread(subprocess.run, [*command, f"--body={body}"], check=True, timeout=20)
        # The tool sets neither id nor time, so messages with the same body are duplicates.
        assert numbers(await received(socket, 2)) == [1, 2]
        await silent(socket)


async def test_the_same_profile_on_kafka_has_the_same_result(
    real_rabbit: RealRabbit, real_kafka: RealKafka, node: Node, queue: str, start_server: Any
) -> None:
    for topic in ("order.created", "order.status.updated"):
        await asyncio.to_thread(real_kafka.ensure_topic, topic)
    on_kafka = {"HERALD_BROKER": "kafka", "KAFKA_BROKERS": real_kafka.servers, "HERALD_KAFKA_GROUP": queue}
    other: Server = start_server(env(real_rabbit, queue, **on_kafka), ("serve",))
    outcomes = []
    for server in (node.server, other):
        async with connect(f"{server.ws_url}/ws") as socket:
            if server is other:
                await asyncio.to_thread(real_kafka.produce, "order.created", orders(20))
            else:
                await real_rabbit.publish(node.queue, "order.created", orders(20))
            outcomes.append([(one["type"], one["data"]) for one in await received(socket, 20)])
    assert outcomes[0] == outcomes[1]
    assert set(await sources_of(other)) == {"memory", "kafka"}


async def test_a_server_started_without_rabbitmq_and_one_that_loses_it_under_load(
    real_rabbit: RealRabbit, node: Node, queue: str, start_server: Any
) -> None:
    server = node.server
    seen: list[int] = []
    over = asyncio.Event()

    async def read() -> None:
        async with connect(f"{server.ws_url}/ws?feeds=orders", subprotocols=["herald.v1"]) as socket:
            await socket.send('{"resume": {}}')
            assert (await frame(socket))["kind"] == "hello"
            async for text in socket:
                entries = [json.loads(line) for line in str(text).split("\n")]
                seen.extend(entry["data"]["total"] for entry in entries if entry["kind"] == "broadcast")

    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        await asyncio.sleep(WRITTEN_DOWN)
        stored = (await client.get("/metrics")).json()["events"]["stored"]
        async with alongside(read()):
            publishing = asyncio.create_task(publish_until(over, real_rabbit, node.queue, seen))
            await until(lambda: len(seen) >= 200, 40)
            await asyncio.to_thread(real_rabbit.kill9)
            try:
                await until_http(server, "/health/ready", lambda body: body["status"] == "not ready", 30)
                assert (await client.get("/health/live")).status_code == 200
                late: Server = start_server(env(real_rabbit, queue), ("serve",), ready=False)
                red = await until_http(late, "/health/ready", lambda body: body["status"] == "not ready", 10)
                assert red["checks"]["rabbitmq"]["ok"] is False
            finally:
                await asyncio.to_thread(real_rabbit.start)
            over.set()
            total = await asyncio.wait_for(publishing, 60)
            await until(lambda: len(set(seen)) >= total, 40, lambda: f"missing {sorted(set(range(total)) - set(seen))}")
            await until_http(server, "/health/ready", lambda body: body["status"] == "ready", 40)
        assert sorted(seen) == list(range(total))
        assert (await client.get("/metrics")).json()["events"]["stored"] == stored + total
    await until_http(late, "/health/ready", lambda body: body["status"] == "ready", 40)
    async with connect(f"{late.ws_url}/ws") as socket:
        await real_rabbit.publish(queue, "order.created", orders(10))
        assert numbers(await received(socket, 10)) == list(range(10))
    assert await asyncio.to_thread(late.stop) == 0
    # Everything is acknowledged: the next process receives nothing.
    async with asyncio.timeout(10):
        while await real_rabbit.depth(queue) != (0, 0):
            await asyncio.sleep(0.02)


async def publish_until(over: asyncio.Event, rabbit: RealRabbit, queue: str, seen: list[int]) -> int:
    """Publish like a producer that repeats unconfirmed messages with the same id, at most 200 events ahead of those
    that were seen. Returns the number of events."""
    total, step = 0, 50
    while not over.is_set():
        bodies = [json.dumps(order(n) | {"event_id": f"e-{n}"}).encode() for n in range(total, total + step)]
        while True:
            try:
                async with asyncio.timeout(10):
                    await rabbit.publish(queue, "order.created", bodies)
                break
            except Exception:
                await asyncio.sleep(0.2)
        total += step
        while total > len(seen) + 200 and not over.is_set():
            await asyncio.sleep(0.01)
    return total


async def test_kafka_and_rabbitmq_in_one_process(real_rabbit: RealRabbit, real_kafka: RealKafka, node: Node) -> None:
    server, queue = node
    async with connect(f"{server.ws_url}/ws") as watcher, connect(f"{server.ws_url}/ws/notifications") as trader:
        await real_rabbit.publish(queue, "order.created", orders(10))
        await asyncio.to_thread(real_kafka.produce, "trading_signals", [b"%d" % n for n in range(10)])
        assert numbers(await received(watcher, 10)) == list(range(10))
        assert await received(trader, 10) == list(range(10))
        await silent(watcher)
        await silent(trader)
    sources = await sources_of(server)
    assert set(sources) == {"memory", "kafka", "rabbitmq"}
    assert sources["rabbitmq"]["assigned"] == [queue]


async def test_events_of_a_removed_route_are_counted_and_not_dead_letters(
    real_rabbit: RealRabbit, queue: str, start_server: Any, tmp_path: Path
) -> None:
    routes = tmp_path / "shop.toml"
    settings = env(real_rabbit, queue, HERALD_NODE="one", DATABASE_URL=f"sqlite+aiosqlite:///{tmp_path}/herald.db")
    settings |= {"HERALD_ROUTES": str(routes), "HERALD_PROFILE": "all", "HERALD_DRAIN_SECONDS": "1"}
    for sources in (("ticket.new", "order.created"), ("order.created",)):
        rules = "".join(f'[[routes]]\nsource = "{source}"\nusers = ["to"]\n' for source in sources)
        routes.write_text(f'profile = "shop"\nbroker = "rabbitmq"\n{rules}')
        server: Server = start_server(settings, ("serve",))
        if "ticket.new" in sources:
            server.kill()
    for key in ("ticket.new", "order.created"):
        await real_rabbit.publish(queue, key, [b'{"to": "kim"}'])
    await until_http(server, "/metrics", lambda body: body["events"]["in"].get("rabbitmq") == 2, 30)
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        metrics = (await client.get("/metrics")).json()["events"]
        text = (await client.get("/metrics", headers={"accept": "text/plain"})).text
    assert (metrics["unwanted"], metrics["deadLettered"]) == ({"ticket.new": 1}, {})
    assert 'herald_events_unwanted_total{key="ticket.new"} 1.0' in text
    assert '"event": "binding_unwanted"' in server.log
