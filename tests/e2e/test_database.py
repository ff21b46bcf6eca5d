"""Herald and its database across restarts."""

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import connect, frame, objects, publish
from tests.support.listening import HERALD
from tests.support.server import Server
from tests.support.service import free_port

SERVE = {"HERALD_AUTH": "open", "HERALD_BROKER": "memory"}


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    environ = {**clean, "PYTHONDONTWRITEBYTECODE": "", **env}
    return subprocess.run([HERALD, *command], env=environ, capture_output=True, text=True, timeout=30, check=False)


def test_serve_refuses_an_older_schema_unless_it_may_upgrade_it(start_server: Any, empty_postgres_url: str) -> None:
    env = {**SERVE, "DATABASE_URL": empty_postgres_url}
    refused = run({**env, "HERALD_PORT": str(free_port())}, "serve")
    assert refused.returncode == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert line.startswith("herald: the database is empty")
    assert "`herald db upgrade`" in line
    assert "`herald serve --migrate`" in line
    server = start_server(env, ("serve", "--migrate"))
    assert "schema_upgraded" in server.log


def test_serve_uses_an_sqlite_file_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = Server({**SERVE, "DATABASE_URL": ""}, ("serve",)).start(ready=True)
    server.kill()
    assert '"event": "database_is_a_file"' in server.log
    assert (tmp_path / "var" / "herald.db").exists()


def test_a_signal_ends_the_wait_for_a_database() -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x"
    server = Server({**SERVE, "DATABASE_URL": url}, ("serve",))
    server.launch()
    deadline = time.monotonic() + 20
    while server.log.count("database_unavailable") < 2:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.02)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/health/live")
    assert server.stop(signal.SIGTERM) == 0
    assert "hunter2" not in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize(("database", "how"), [("postgresql", signal.SIGKILL), ("sqlite", signal.SIGTERM)])
async def test_stored_entries_survive_a_restart_up_to_the_limit(
    database: str, how: signal.Signals, start_server: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    sqlite = f"sqlite:///{tmp_path}/herald.db"
    url = sqlite if database == "sqlite" else request.getfixturevalue("postgres_url")
    env = {**SERVE, "DATABASE_URL": url, "HERALD_DRAIN_SECONDS": "1"}
    server = start_server(env, ("serve",))
    await publish(server, "risk-events", {"user_id": "ada", "event_id": "e-1", "n": 1})
    await publish(server, "risk-events", *({"user_id": "bob", "n": n} for n in range(5)))
    async with connect(server.ws_url + "/ws?user_id=ada", subprotocols=["herald.v1"]) as client:
        await client.send('{"resume": {}}')
        epoch = (await frame(client))["epoch"]
    await asyncio.to_thread(server.stop, how)

    server = start_server({**env, "HERALD_KEEP_INBOX_ENTRIES": "2"}, ("serve",))
    # Stored before the restart, so it is a duplicate.
    await publish(server, "risk-events", {"user_id": "ada", "event_id": "e-1", "n": 1})
    await publish(server, "risk-events", {"user_id": "ada", "event_id": "e-2", "n": 2})
    async with connect(server.ws_url + "/ws?user_id=ada", subprotocols=["herald.v1"]) as client:
        await client.send(json.dumps({"resume": {"epoch": epoch, "positions": {"inbox": 0}}}))
        hello = await frame(client)
        assert (hello["kind"], hello["epoch"], hello["resumed"]) == ("hello", epoch, True)
        seen = await objects(client, 2)
    assert [(one["seq"], one["data"]["n"]) for one in seen] == [(1, 1), (2, 2)]

    # Pruning starts with the node.
    await until_pruned(server, "notification", 3)
    async with connect(server.ws_url + "/ws?user_id=bob", subprotocols=["herald.v1"]) as client:
        await client.send(json.dumps({"resume": {"epoch": epoch, "positions": {"inbox": 1}}}))
        hello = await frame(client)
        assert (hello["gap"], hello["unread"]) == (["inbox"], 2)
        assert [one["data"]["n"] for one in await objects(client, 2)] == [3, 4]


async def until_pruned(server: Server, kind: str, count: int) -> None:
    sample = f'herald_pruned_total{{kind="{kind}"}} {count}.0'
    async with httpx.AsyncClient(base_url=server.url) as client, asyncio.timeout(20):
        while sample not in (await client.get("/metrics", headers={"accept": "text/plain"})).text:
            await asyncio.sleep(0.02)
