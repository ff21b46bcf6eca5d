"""From a real Kafka to clients, under all faults in between."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.clients import closed, connect, frame, until_http
from tests.support.kafka import RealKafka
from tests.support.reading import until
from tests.support.server import Server

TOPICS = ("trading_signals", "risk-events", "user_service.user.logout_account")


@pytest.fixture(scope="module")
def server(real_kafka: RealKafka) -> Iterator[Server]:
    """One server for all tests that start none."""
    for topic in TOPICS:
        real_kafka.ensure_topic(topic)
    profiles = {"HERALD_PROFILE": "signals,trading,groups", "HERALD_MAX_EVENT_BYTES": "100000"}
    server = Server(env(real_kafka, **profiles), ("serve",)).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


def env(kafka: RealKafka, **more: str) -> dict[str, str]:
    return {
        "KAFKA_BROKERS": kafka.servers,
        "HERALD_AUTH": "open",
        "HERALD_PROFILE": "signals,trading",
        "HERALD_KAFKA_GROUP": f"group-{uuid.uuid4()}",
    } | more


async def produce(kafka: RealKafka, topic: str, *payloads: Any) -> None:
    bodies = [payload if isinstance(payload, bytes) else json.dumps(payload).encode() for payload in payloads]
    await asyncio.to_thread(kafka.produce, topic, bodies)


async def texts(socket: Any, count: int, seconds: float = 40) -> list[str]:
    async with asyncio.timeout(seconds):
        return [str(await socket.recv()) for _ in range(count)]


async def test_a_server_started_without_kafka_and_one_that_loses_it(
    real_kafka: RealKafka, server: Server, start_server: Any
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        async with connect(server.ws_url + "/ws/notifications") as socket:
            await produce(real_kafka, "trading_signals", *[b"%d" % n for n in range(100)])
            assert await texts(socket, 100) == [str(n) for n in range(100)]
            await asyncio.to_thread(real_kafka.kill9)
            try:
                late: Server = start_server(env(real_kafka), ("serve",), ready=False)
                red = await until_http(late, "/health/ready", lambda body: body["status"] == "not ready", 10)
                assert red["checks"]["kafka"]["ok"] is False
                health = await until_http(late, "/health", lambda _: True, 10)
                assert health["services"]["kafka"]["status"] == "unhealthy"
                await until_http(server, "/health/ready", lambda body: body["status"] == "not ready", 30)
                assert (await client.get("/health/live")).status_code == 200
            finally:
                await asyncio.to_thread(real_kafka.start)
            await until_http(late, "/health/ready", lambda body: body["status"] == "ready", 40)
            async with connect(late.ws_url + "/ws/notifications") as other:
                await produce(real_kafka, "trading_signals", *[b"%d" % n for n in range(100, 200)])
                for each in (socket, other):
                    assert await texts(each, 100) == [str(n) for n in range(100, 200)]
        await until_http(server, "/health/ready", lambda body: body["status"] == "ready", 40)
    assert await asyncio.to_thread(late.stop) == 0


async def test_poison_events_do_not_block_later_events(real_kafka: RealKafka, server: Server) -> None:
    poison = [
        b"not json",
        b"\xff\xfe\x00",
        b"5",
        b"null",
        b'"text"',
        b"[" * 10_000,
        b"{" + b'"a":{' * 10_000,
        b'{"user_id": null}',
        b'{"user_id": {"nested": 1}}',
        b'{"nobody": true}',
        json.dumps({"user_id": "u" * 10_000}).encode(),
        json.dumps({"user_id": "u", "text": "x" * 200_000}).encode(),
    ]
    async with connect(f"{server.ws_url}/ws?user_id=u") as socket:
        for number, bad in enumerate(poison):
            await produce(real_kafka, "risk-events", bad, {"user_id": "u", "n": number})
        await asyncio.to_thread(real_kafka.produce, "risk-events", [None])
        await produce(real_kafka, "risk-events", {"user_id": "u", "n": "last"}, {"user_id": 7}, {"user_id": ["u", "u"]})
        received = [json.loads(text)["data"] for text in await texts(socket, len(poison) + 2)]
        assert [data.get("n") for data in received] == [*range(len(poison)), "last", None]
    metrics = await until_http(server, "/metrics", lambda body: sum(body["events"]["deadLettered"].values()) > 11, 10)
    letters = metrics["events"]["deadLettered"]
    assert "tombstone" not in letters
    assert metrics["events"]["ignored"] == {"tombstone": 1}
    assert letters["not_utf8"] == 1
    assert letters["not_json"] == 3
    assert letters["not_an_object"] == 3
    assert letters["too_large"] == 1
    assert letters["bad_recipient"] == 2
    assert letters["no_recipient"] == 2


async def test_stopping_under_load_commits_exactly_what_was_delivered(real_kafka: RealKafka, start_server: Any) -> None:
    """The other events go to the next process."""
    topic = f"load-{uuid.uuid4().hex}"
    await asyncio.to_thread(real_kafka.create_topic, topic)
    settings = env(real_kafka, HERALD_PROFILE="products", HERALD_PRODUCTS_TOPICS=topic, HERALD_DRAIN_SECONDS="1")
    total, received = 3_000, []
    server: Server = start_server(settings, ("serve",))

    async def read(socket: Any) -> None:
        async for text in socket:
            entries = [json.loads(line) for line in str(text).split("\n")]
            received.extend(entry["data"]["n"] for entry in entries if entry["kind"] == "broadcast")

    async with connect(server.ws_url + "/ws?feeds=products", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        assert (await frame(socket))["kind"] == "hello"
        reading = asyncio.create_task(read(socket))
        bodies = [json.dumps({"id": f"e{n}", "n": n}).encode() for n in range(total)]
        producing = asyncio.create_task(asyncio.to_thread(real_kafka.produce, topic, bodies))
        await until(lambda: len(received) >= total / 10)
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.gather(reading, return_exceptions=True)
    await producing
    assert received == list(range(len(received)))
    committed = real_kafka.committed(settings["HERALD_KAFKA_GROUP"])[(topic, 0)]
    assert committed == len(received)


async def test_a_sign_out_uses_the_time_of_the_broker_record(real_kafka: RealKafka, server: Server) -> None:
    path = "/ws/v2/notification-service/notifications/users"
    async with connect(f"{server.ws_url}{path}/a") as first, connect(f"{server.ws_url}{path}/b") as second:
        await produce(real_kafka, "user_service.user.logout_account", {"user_id": "a"})
        assert await closed(first) == 4502
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.recv(), 0.5)
