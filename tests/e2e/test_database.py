"""Herald and its database across restarts."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import connect, frame, objects, publish
from tests.support.server import Server
from tests.support.service import free_port

SERVE = {"HERALD_AUTH": "open", "HERALD_BROKER": "memory"}


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    program = str(Path(sys.executable).with_name("herald"))
    return subprocess.run(
        [program, *command], env={**clean, **env}, capture_output=True, text=True, timeout=30, check=False
    )


def test_serve_refuses_an_older_schema_and_names_the_command(start_server: Any, empty_postgres_url: str) -> None:
    env = {**SERVE, "DATABASE_URL": empty_postgres_url}
    refused = run({**env, "HERALD_PORT": str(free_port())}, "serve")
    assert refused.returncode == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert line.startswith("herald: the database is empty")
    assert "`herald db upgrade`" in line
    assert "`herald serve --migrate`" in line
    upgraded = run(env, "db", "upgrade")
    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert start_server(env, ("serve",)).stop() == 0


def test_serve_upgrades_the_schema_with_migrate(start_server: Any, empty_postgres_url: str) -> None:
    server = start_server({**SERVE, "DATABASE_URL": empty_postgres_url}, ("serve", "--migrate"))
    assert "schema_upgraded" in server.log
    assert server.stop() == 0


def test_serve_uses_an_sqlite_file_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = Server({**SERVE, "DATABASE_URL": ""}, ("serve",)).start(ready=True)
    assert server.stop() == 0
    assert '"event": "database_is_a_file"' in server.log
    assert (tmp_path / "var" / "herald.db").exists()


def test_a_signal_ends_the_wait_for_a_database() -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x"
    server = Server({**SERVE, "DATABASE_URL": url}, ("serve",))
    server.launch()
    deadline = time.monotonic() + 20
    while server.log.count("database_unavailable") < 2:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/health/live")
    assert server.stop(signal.SIGTERM) == 0
    assert "hunter2" not in server.log
    assert "Traceback" not in server.log


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/herald.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_stored_entries_survive_a_restart(start_server: Any, url: str, how: signal.Signals) -> None:
    env = {**SERVE, "DATABASE_URL": url, "HERALD_DRAIN_SECONDS": "1"}
    server = start_server(env, ("serve",))
    async with connect(server.ws_url + "/ws?user_id=u", subprotocols=["herald.v1"]) as client:
        await client.send('{"resume": {}}')
        epoch = (await frame(client))["epoch"]
    await publish(server, "risk-events", {"user_id": "u", "event_id": "e-1", "n": 1})
    await asyncio.to_thread(server.stop, how)

    server = start_server(env, ("serve",))
    await publish(server, "risk-events", {"user_id": "u", "event_id": "e-1", "n": 1})
    await publish(server, "risk-events", {"user_id": "u", "event_id": "e-2", "n": 2})
    async with connect(server.ws_url + "/ws?user_id=u", subprotocols=["herald.v1"]) as client:
        await client.send(json.dumps({"resume": {"epoch": epoch, "positions": {"inbox": 0}}}))
        hello = await frame(client)
        assert (hello["kind"], hello["epoch"], hello["resumed"]) == ("hello", epoch, True)
        seen = await objects(client, 2)
    assert [(one["seq"], one["data"]["n"]) for one in seen] == [(1, 1), (2, 2)]


async def test_entries_above_the_limit_are_pruned_and_reported_as_a_gap(start_server: Any, url: str) -> None:
    env = {**SERVE, "DATABASE_URL": url, "HERALD_DRAIN_SECONDS": "1"}
    server = start_server(env, ("serve",))
    await publish(server, "risk-events", *({"user_id": "u", "n": n} for n in range(5)))
    async with connect(server.ws_url + "/ws?user_id=u", subprotocols=["herald.v1"]) as client:
        await client.send('{"resume": {}}')
        epoch = (await frame(client))["epoch"]
    server.kill()

    # Pruning starts with the node.
    server = start_server({**env, "HERALD_KEEP_INBOX_ENTRIES": "2"}, ("serve",))
    await until_pruned(server, "notification", 3)
    async with connect(server.ws_url + "/ws?user_id=u", subprotocols=["herald.v1"]) as client:
        await client.send(json.dumps({"resume": {"epoch": epoch, "positions": {"inbox": 1}}}))
        hello = await frame(client)
        assert (hello["gap"], hello["unread"]) == (["inbox"], 2)
        assert [one["data"]["n"] for one in await objects(client, 2)] == [3, 4]


async def until_pruned(server: Server, kind: str, count: int) -> None:
    sample = f'herald_pruned_total{{kind="{kind}"}} {count}.0'
    async with httpx.AsyncClient(base_url=server.url) as client, asyncio.timeout(20):
        while sample not in (await client.get("/metrics", headers={"accept": "text/plain"})).text:
            await asyncio.sleep(0.05)
