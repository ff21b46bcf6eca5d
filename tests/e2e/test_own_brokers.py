"""One process reads Kafka and RabbitMQ for the profiles of a folder, and a renamed topic for a shipped one."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

from tests.e2e.conftest import StartServer
from tests.support.clients import connect, frame, silent, until_http
from tests.support.kafka import RealKafka
from tests.support.rabbitmq import RealRabbit

ROUTES = """
profile = "{name}"
broker = "{broker}"

[[endpoints]]
name = "{name}"
path = "/{name}/{{user}}"
transport = "ws"
user = "path:user"
inbox = "profile"

[[routes]]
source = "{source}"
users = ["user"]
envelope = "typed"
as_type = "{name}"
"""


def body(**payload: Any) -> bytes:
    return json.dumps({"user": "ada", **payload}).encode()


async def test_each_profile_reads_its_own_broker(
    real_kafka: RealKafka, real_rabbit: RealRabbit, start_server: StartServer, tmp_path: Path
) -> None:
    name = f"own-{uuid.uuid4().hex}"
    (folder := tmp_path / "routes").mkdir()
    for profile, broker, source in (("shop", "kafka", f"{name}-sales"), ("desk", "rabbitmq", "ticket.*")):
        (folder / f"{profile}.toml").write_text(ROUTES.format(name=profile, broker=broker, source=source))
    (folder / "shop.toml.bak").write_text("")
    for topic in (f"{name}-sales", f"{name}-signals"):
        real_kafka.ensure_topic(topic)
    server = start_server(
        {
            "HERALD_ROUTES": f"{folder},shipped:signals",
            "HERALD_SOURCES_SIGNALS": f"{name}-signals",
            "HERALD_AUTH": "open",
            "KAFKA_BROKERS": real_kafka.servers,
            "HERALD_KAFKA_GROUP": name,
            "RABBITMQ_HOST": "127.0.0.1",
            "HERALD_RABBITMQ_PORT": str(real_rabbit.port),
            "RABBITMQ_EXCHANGE": name,
            "RABBITMQ_QUEUE": name,
        },
        ("serve",),
    )
    async with (
        connect(f"{server.ws_url}/shop/ada") as shop,
        connect(f"{server.ws_url}/desk/ada") as desk,
        connect(f"{server.ws_url}/ws/notifications") as signals,
    ):
        await asyncio.to_thread(real_kafka.produce, f"{name}-sales", [body(sale=1)])
        await asyncio.to_thread(real_kafka.produce, f"{name}-signals", [b"BUY"])
        await real_rabbit.publish(name, "ticket.created", [body(ticket=2)])
        assert await frame(shop) == {"type": "shop", "data": {"user": "ada", "sale": 1}}
        assert await frame(desk) == {"type": "desk", "data": {"user": "ada", "ticket": 2}}
        assert await asyncio.wait_for(signals.recv(), 10) == "BUY"
        for socket in (shop, desk, signals):
            await silent(socket)
    health = await until_http(server, "/health/ready", lambda _: True, 10)
    assert {one["name"] for one in health["sources"]} == {"memory", "kafka", "rabbitmq"}
    assert f'"file": "{folder}/shop.toml.bak"' in server.log
    assert "routes_file_ignored" in server.log
