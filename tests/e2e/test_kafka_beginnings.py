"""Where reading starts in a topic that a deployment has not read yet: from a real Kafka, across a restart of Herald."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import until_http
from tests.support.kafka import RealKafka
from tests.support.server import Server
from tests.support.service import free_port

SIGNALS = "trading_signals"
ADD_USERS = "user_service.group.add_users"


@pytest.fixture
def own_kafka(real_kafka: RealKafka, tmp_path: Path) -> Iterator[RealKafka]:
    """A broker whose topics no other test uses."""
    kafka = RealKafka(tmp_path / "kafka")
    kafka.start()
    kafka.create_topic(SIGNALS)
    kafka.create_topic(ADD_USERS)
    yield kafka
    kafka.stop()


def added(number: int) -> bytes:
    return json.dumps({"event_id": f"e{number}", "receivers": ["ada"], "group_name": f"Group {number}"}).encode()


async def inbox(server: Server) -> list[str]:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        answer = (await client.get("/api/v2/notifications?user_id=ada")).json()
    return [one["title"] for one in answer["data"]]


async def stored(server: Server, count: int) -> Any:
    return await until_http(server, "/metrics", lambda body: body["events"]["stored"] == count, 30)


async def test_a_profile_added_later_does_not_send_past_events(
    own_kafka: RealKafka, start_server: Any, tmp_path: Path
) -> None:
    await asyncio.to_thread(own_kafka.produce, ADD_USERS, [added(number) for number in range(30)])
    settings = {
        "KAFKA_BROKERS": own_kafka.servers,
        "HERALD_AUTH": "open",
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/herald.db",
        "HERALD_DRAIN_SECONDS": "1",
    }
    before: Server = start_server(settings | {"HERALD_PROFILE": "signals"}, ("serve",))
    await asyncio.to_thread(own_kafka.produce, SIGNALS, [b"BUY"])
    await stored(before, 1)
    assert await asyncio.to_thread(before.stop) == 0

    after: Server = start_server(settings | {"HERALD_PROFILE": "signals,groups"}, ("serve",))
    body = await until_http(after, "/health", lambda body: len(_kafka(body)["assigned"]) == 2, 30)
    await asyncio.to_thread(own_kafka.produce, ADD_USERS, [added(30)])
    await stored(after, 1)
    assert await inbox(after) == ["Added to Group 30"]
    assert _kafka(body)["begins"] == {f"{SIGNALS}/0": 0, f"{ADD_USERS}/0": 30}
    assert "kafka_topic_start" in after.log


def _kafka(health: Any) -> Any:
    (source,) = [one for one in health["sources"] if one["name"] == "kafka"]
    return source


async def test_routes_check_shows_where_topics_start(own_kafka: RealKafka, start_server: Any, tmp_path: Path) -> None:
    await asyncio.to_thread(own_kafka.produce, ADD_USERS, [added(number) for number in range(30)])
    (routes := tmp_path / "routes.toml").write_text(
        f'profile = "mine"\n[[routes]]\nsource = "{ADD_USERS}"\nusers = ["receivers"]\n'
        f'[[routes]]\nsource = "{SIGNALS}"\nusers = ["user"]\n[[routes]]\nsource = "not-yet"\nusers = ["user"]\n'
    )
    settings = {"KAFKA_BROKERS": own_kafka.servers, "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/herald.db"}
    before = await _herald("routes", "check", str(routes), "--broker", **settings)
    assert f"{ADD_USERS}/0 begins at 30 of 30, its end: it was never read, and its past is not sent" in before
    assert "not-yet does not exist: it will begin at its beginning" in before
    assert not (tmp_path / "herald.db").exists()

    server: Server = start_server(settings | {"HERALD_AUTH": "open", "HERALD_ROUTES": str(routes)}, ("serve",))
    await until_http(server, "/health/ready", lambda body: body["status"] == "ready", 30)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(own_kafka.produce, ADD_USERS, [added(30)])
    await asyncio.to_thread(own_kafka.create_topic, "not-yet")
    await asyncio.to_thread(own_kafka.produce, "not-yet", [b"{}"])
    after = await _herald("routes", "check", str(routes), "--broker", **settings)
    assert f"{ADD_USERS}/0 begins at 30 of 31, the group's committed offset, 1 records wait" in after
    assert "not-yet/0 begins at 0 of 1, its beginning, 1 records wait" in after


async def test_routes_check_reports_why_the_broker_cannot_be_queried(tmp_path: Path) -> None:
    (routes := tmp_path / "routes.toml").write_text('profile = "mine"\n[[routes]]\nsource = "a"\nusers = ["u"]\n')
    nowhere = f"127.0.0.1:{free_port()}"
    said = await _herald("routes", "check", str(routes), "--broker", KAFKA_BROKERS=nowhere, DATABASE_URL="memory:")
    assert f"Error: Kafka at {nowhere}: " in said


async def _herald(*arguments: str, **env: str) -> str:
    """Run the command. Returns its output on both streams."""
    command = Path(sys.executable).with_name("herald")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    process = await asyncio.create_subprocess_exec(
        command,
        *arguments,
        env=inherited | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()
