"""From a real Kafka to clients, under all faults in between."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import closed, connect, frame, until_http
from tests.support.kafka import RealKafka
from tests.support.server import Server


@pytest.fixture
def own_kafka(real_kafka: RealKafka, tmp_path: Path) -> Any:
    """A broker that the test may kill."""
    kafka = RealKafka(tmp_path)
    yield kafka
    kafka.stop()


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


async def test_kafka_is_unavailable_at_first_then_killed_and_restarted(own_kafka: RealKafka, start_server: Any) -> None:
    server: Server = start_server(env(own_kafka), ("serve",), ready=False)
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        assert (await client.get("/health/live")).status_code == 200
        red = await client.get("/health/ready")
        assert red.status_code == 503
        assert red.json()["checks"]["kafka"]["ok"] is False
        assert (await client.get("/health")).json()["services"]["kafka"]["status"] == "unhealthy"

        await asyncio.to_thread(own_kafka.start)
        await asyncio.to_thread(own_kafka.create_topic, "trading_signals")
        await until_http(server, "/health/ready", lambda body: body["status"] == "ready", 40)
        async with connect(server.ws_url + "/ws/notifications") as socket:
            await produce(own_kafka, "trading_signals", *[b"%d" % n for n in range(100)])
            assert await texts(socket, 100) == [str(n) for n in range(100)]

            await asyncio.to_thread(own_kafka.kill9)
            await until_http(server, "/health/ready", lambda body: body["status"] == "not ready", 30)
            assert (await client.get("/health/live")).status_code == 200
            await asyncio.to_thread(own_kafka.start)
            await produce(own_kafka, "trading_signals", *[b"%d" % n for n in range(100, 200)])
            assert await texts(socket, 100) == [str(n) for n in range(100, 200)]
            await until_http(server, "/health/ready", lambda body: body["status"] == "ready", 40)
    assert await asyncio.to_thread(server.stop) == 0


async def test_poison_events_do_not_block_later_events(real_kafka: RealKafka, start_server: Any) -> None:
    for topic in ("trading_signals", "risk-events"):
        if topic not in real_kafka._admin.list_topics(timeout=10).topics:
            await asyncio.to_thread(real_kafka.create_topic, topic)
    server: Server = start_server(env(real_kafka, HERALD_MAX_EVENT_BYTES="100000"), ("serve",))
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


async def test_stopping_under_load_loses_nothing(real_kafka: RealKafka, start_server: Any) -> None:
    """Acknowledged events were delivered before the end; the others go to the next process."""
    topic = f"load-{uuid.uuid4().hex}"
    await asyncio.to_thread(real_kafka.create_topic, topic)
    settings = env(real_kafka, HERALD_PROFILE="products", HERALD_PRODUCTS_TOPICS=topic, HERALD_DRAIN_SECONDS="2")
    total, received = 3_000, []

    async def read(server: Server, ended: asyncio.Event) -> None:
        async with connect(server.ws_url + "/ws?feeds=products", subprotocols=["herald.v1"]) as socket:
            await socket.send('{"resume": {}}')
            assert (await frame(socket))["kind"] == "hello"
            ended.clear()
            async for text in socket:
                entries = [json.loads(line) for line in str(text).split("\n")]
                received.extend(entry["data"]["n"] for entry in entries if entry["kind"] == "broadcast")

    server: Server = start_server(settings, ("serve",))
    gone = asyncio.Event()
    gone.set()
    reading = asyncio.create_task(read(server, gone))
    while gone.is_set():
        await asyncio.sleep(0.05)
    bodies = [json.dumps({"id": f"e{n}", "n": n}).encode() for n in range(total)]
    producing = asyncio.create_task(asyncio.to_thread(real_kafka.produce, topic, bodies))
    while len(received) < total / 10:
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.gather(reading, return_exceptions=True)
    await producing
    before = list(received)
    assert before == list(range(len(before)))
    committed = real_kafka.committed(settings["HERALD_KAFKA_GROUP"])[(topic, 0)]
    assert committed == len(before)

    again: Server = start_server(settings, ("serve",), ready=False)
    reading = asyncio.create_task(read(again, gone))
    # A memory store starts empty, so entries stored by this process before its first client are behind that client's
    # head.
    await until_http(
        again, "/metrics", lambda body: body["consumer"]["processedMessagesCount"] >= total - committed, 30
    )
    body = await until_http(again, "/metrics", lambda body: True, 5)
    assert body["events"]["stored"] == total - committed
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_two_members_of_one_group_share_the_events(real_kafka: RealKafka, start_server: Any) -> None:
    """Without a backplane between processes each shows its own share; no event is lost or processed twice."""
    topic = f"shared-{uuid.uuid4().hex}"
    await asyncio.to_thread(real_kafka.create_topic, topic, 4)
    settings = env(real_kafka, HERALD_PROFILE="products", HERALD_PRODUCTS_TOPICS=topic, HERALD_DRAIN_SECONDS="1")
    servers = [start_server(settings, ("serve",)), start_server(settings, ("serve",))]
    for server in servers:
        await until_http(
            server, "/health/ready", lambda body: any(len(one["assigned"]) == 2 for one in body["sources"]), 30
        )
    for partition in range(4):
        bodies = [json.dumps({"id": f"{partition}-{n}"}).encode() for n in range(50)]
        await asyncio.to_thread(real_kafka.produce, topic, bodies, partition=partition)
    for server in servers:
        await until_http(server, "/metrics", lambda body: body["events"]["stored"] == 100, 20)


async def test_a_sign_out_uses_the_time_of_the_broker_record(real_kafka: RealKafka, start_server: Any) -> None:
    topic = "user_service.user.logout_account"
    if topic not in real_kafka._admin.list_topics(timeout=10).topics:
        await asyncio.to_thread(real_kafka.create_topic, topic)
    server = start_server(env(real_kafka, HERALD_PROFILE="groups"), ("serve",))
    path = "/ws/v2/notification-service/notifications/users"
    async with connect(f"{server.ws_url}{path}/a") as first, connect(f"{server.ws_url}{path}/b") as second:
        await produce(real_kafka, topic, {"user_id": "a"})
        assert await closed(first) == 4502
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.recv(), 0.5)
