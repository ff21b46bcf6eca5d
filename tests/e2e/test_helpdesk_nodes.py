"""The helpdesk on two nodes behind the shipped proxy, as docs/examples/helpdesk/compose.yaml runs it: with PostgreSQL,
Redis, Kafka and the settings of that file."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.nginx_fixtures import StartNginx
from tests.support.clients import Stream, connect, frame, token
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis
from tests.support.server import SECRET, Server

HELPDESK: Final = Path(__file__).parents[2] / "docs/examples/helpdesk"
PATIENCE: Final = 20.0


def settings() -> dict[str, str]:
    """The settings of the example, with the folders where they are here."""
    found = yaml.safe_load((HELPDESK / "compose.yaml").read_text())["services"]["herald-1"]["environment"]
    return {name: value.replace("/etc/herald", str(HELPDESK)) for name, value in found.items()}


def of(user: str) -> str:
    return token(user, iss="https://helpdesk.example", aud="helpdesk")


async def test_agents_at_both_nodes_and_the_status_page_receive_what_kafka_has(
    postgres: Postgres, real_redis: RealRedis, real_kafka: RealKafka, start_nginx: StartNginx
) -> None:
    for topic in ("ticket.commented", "status.changed"):
        real_kafka.ensure_topic(topic, 2)
    url = postgres.create()
    env = {
        **settings(),
        "HERALD_JWT_SECRET": SECRET,
        "DATABASE_URL": url,
        "REDIS_URL": real_redis.url,
        "HERALD_REDIS_PREFIX": uuid.uuid4().hex,
        "KAFKA_BROKERS": real_kafka.servers,
        "HERALD_KAFKA_GROUP": f"helpdesk-{uuid.uuid4()}",
    }
    nodes = [Server({**env, "HERALD_NODE": name}, ("serve",)) for name in ("one", "two")]
    try:
        for node in nodes:
            node.start(ready=True)
        proxy = start_nginx([node.port for node in nodes])
        comment: Any = json.loads((HELPDESK / "events/comment.json").read_bytes())
        async with (
            connect(f"{proxy.ws_url}/ws/helpdesk?jwt={of('ben')}") as ben,
            connect(f"{proxy.ws_url}/ws/helpdesk?jwt={of('cem')}") as cem,
            connect(f"{proxy.ws_url}/ws/helpdesk?jwt={of('ana')}") as ana,
            httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client,
            client.stream("GET", "/status/events") as response,
        ):
            page = Stream(response)
            await page.next()
            await asyncio.to_thread(real_kafka.produce, "ticket.commented", [json.dumps(comment).encode()])
            for agent in (ben, cem):
                assert (await frame(agent, PATIENCE))["event_type"] == "ticket_commented"
            await asyncio.to_thread(real_kafka.produce, "status.changed", [b'{"state": "down"}'], partition=1)
            # The author of the comment receives the change of the status page, and nothing before it.
            assert (await frame(ana, PATIENCE))["type"] == "status_changed"
            assert (await page.next(PATIENCE))[1]["data"] == {"state": "down"}
            inbox = await client.get("/api/v2/notifications", headers={"Authorization": f"Bearer {of('cem')}"})
            assert inbox.json()["data"][0]["url"] == "https://helpdesk.example/tickets/7"
            refused = await client.get("/api/v2/notifications", headers={"Authorization": f"Bearer {token('cem')}"})
            assert refused.status_code == 401
    finally:
        for node in nodes:
            node.kill()
            print(node.log[-10_000:])
        postgres.drop(url)
