"""Where reading starts in a topic that a deployment has not read yet: from a real Kafka, across a restart of Herald."""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.clients import until_http
from tests.support.kafka import RealKafka
from tests.support.server import Server
from tests.support.service import free_port


class Topics(NamedTuple):
    """Topics that no other test uses; `later` is not created."""

    signals: str
    added: str
    later: str


@pytest.fixture
def topics(real_kafka: RealKafka) -> Topics:
    topics = Topics(*(f"{name}-{uuid.uuid4().hex}" for name in ("signals", "added", "later")))
    real_kafka.create_topic(topics.signals)
    real_kafka.create_topic(topics.added)
    real_kafka.produce(topics.added, [added(number) for number in range(30)])
    return topics


def write_routes(file: Path, *sources: str) -> None:
    routes = "".join(
        f'[[routes]]\nsource = "{source}"\nusers = ["receivers"]\n'
        'inbox = { title = "{group_name}", message = "You were added" }\n'
        for source in sources
    )
    file.write_text(f'profile = "mine"\n{routes}')


def added(number: int) -> bytes:
    return json.dumps({"event_id": f"e{number}", "receivers": ["ada"], "group_name": f"Group {number}"}).encode()


async def inbox(server: Server) -> list[str]:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        answer = (await client.get("/api/v2/notifications?user_id=ada")).json()
    return [one["title"] for one in answer["data"]]


async def stored(server: Server, count: int) -> Any:
    return await until_http(server, "/metrics", lambda body: body["events"]["stored"] == count, 30)


async def test_a_route_added_later_does_not_send_past_events(
    real_kafka: RealKafka, topics: Topics, start_server: Any, tmp_path: Path
) -> None:
    """`routes check` shows where its topics start, before it is used and after."""
    routes = tmp_path / "routes.toml"
    settings = {
        "KAFKA_BROKERS": real_kafka.servers,
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/herald.db",
        "HERALD_KAFKA_GROUP": topics.signals,
        "HERALD_ROUTES": str(routes),
    }
    serving = settings | {"HERALD_AUTH": "open", "HERALD_DRAIN_SECONDS": "1"}
    write_routes(routes, *topics)
    shown = await _herald("routes", "check", str(routes), "--broker", **settings)
    assert f"{topics.added}/0 begins at 30 of 30, its end: Herald has never read it" in shown
    assert f"{topics.later} does not exist: if it is created after Herald has been started" in shown
    assert not (tmp_path / "herald.db").exists()

    write_routes(routes, topics.signals)
    before: Server = start_server(serving, ("serve",))
    await asyncio.to_thread(real_kafka.produce, topics.signals, [added(0)])
    await stored(before, 1)
    assert await asyncio.to_thread(before.stop) == 0

    write_routes(routes, *topics)
    after: Server = start_server(serving, ("serve",))
    body = await until_http(after, "/health", lambda body: len(_kafka(body)["assigned"]) == 2, 30)
    await asyncio.to_thread(real_kafka.produce, topics.added, [added(30)])
    await stored(after, 1)
    assert await inbox(after) == ["Group 30", "Group 0"]
    assert _kafka(body)["begins"] == {f"{topics.signals}/0": 0, f"{topics.added}/0": 30}
    assert "kafka_topic_start" in after.log
    assert await asyncio.to_thread(after.stop) == 0

    await asyncio.to_thread(real_kafka.produce, topics.added, [added(31)])
    await asyncio.to_thread(real_kafka.create_topic, topics.later)
    await asyncio.to_thread(real_kafka.produce, topics.later, [b"{}"])
    shown = await _herald("routes", "check", str(routes), "--broker", **settings)
    assert f"{topics.added}/0 begins at 31 of 32, the group's committed offset, 1 record waits" in shown
    assert f"{topics.later}/0 begins at 0 of 1, its beginning, 1 record waits" in shown


async def test_routes_check_needs_no_tables_in_the_database(
    real_kafka: RealKafka, topics: Topics, empty_postgres_url: str, tmp_path: Path
) -> None:
    write_routes(tmp_path / "routes.toml", topics.added)
    shown = await _herald(
        "routes", "check", str(tmp_path / "routes.toml"), "--broker",
        KAFKA_BROKERS=real_kafka.servers, HERALD_KAFKA_GROUP=topics.signals, DATABASE_URL=empty_postgres_url,
    )  # fmt: skip
    assert f"{topics.added}/0 begins at 30 of 30, its end: Herald has never read it" in shown


def _kafka(health: Any) -> Any:
    (source,) = [one for one in health["sources"] if one["name"] == "kafka"]
    return source


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
