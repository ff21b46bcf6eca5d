"""A sixth service beside a shipped one: a routes file with its own endpoints, without Python code."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from domain.protocol.herald_v1 import SUBPROTOCOL
from tests.e2e.conftest import StartServer
from tests.support.clients import connect, frame, objects, publish, silent, stream, token
from tests.support.listening import HERALD, Listen
from tests.support.server import SECRET, Server

ROUTES = """
profile = "helpdesk"
broker = "memory"

[feeds.news]
access = "public"

[[endpoints]]
name = "desk"
path = "/desk/sockets"
transport = "ws"
user = "query:agent"
inbox = "profile"

[[endpoints]]
name = "wall"
path = "/desk/sockets"
transport = "ws"

[[endpoints]]
name = "agent"
path = "/desk/agents/{agent}"
transport = "ws"
user = "path:agent"
feeds = false
inbox = "all"

[[endpoints]]
name = "any"
path = "/desk/{agent}"
transport = "ws"
user = "path:agent"
feeds = false
inbox = "profile"

[[endpoints]]
name = "ticker"
path = "/desk/ticker"
transport = "sse"
user = "query:agent"
inbox = "profile"
connected = { hello = "agent" }
heartbeat = { beat = true }

[[routes]]
source = "ticket.created"
feed = "news"
envelope = "typed"

[[routes]]
source = "ticket.assigned"
users = ["agent"]
envelope = "typed"
"""

GROUPS_PATH = "/ws/v2/notification-service/notifications/users"
ADDED = {"event_type": "group_user_added", "receivers": ["zoe"], "data": {"group_name": "Family"}}

CREATED = {"type": "created", "ticket": 1}


def assigned(agent: str) -> dict[str, Any]:
    return {"type": "assigned", "agent": agent}


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    (file := tmp_path_factory.mktemp("routes") / "helpdesk.toml").write_text(ROUTES)
    return start_shared_server({"HERALD_ROUTES": f"{file.parent},shipped:groups"})


async def test_a_shipped_profile_beside_an_own_one(server: Server) -> None:
    async with (
        connect(f"{server.ws_url}{GROUPS_PATH}/zoe") as shipped,
        connect(f"{server.ws_url}/desk/sockets?agent=zoe") as own,
        connect(f"{server.ws_url}/desk/agents/zoe") as both,
    ):
        await publish(server, "user_service.group.add_users", ADDED)
        await publish(server, "ticket.assigned", assigned("zoe"))
        assert (await frame(shipped))["event_type"] == "group_user_added"
        assert await frame(own) == {"type": "assigned", "data": {"agent": "zoe"}}
        assert [(await frame(both)).keys() for _ in range(2)] == [{"event_type", "data"}, {"type", "data"}]
        await silent(shipped)


async def test_the_command_line_knows_own_profiles(server: Server, tmp_path: Path) -> None:
    listening = Listen(tmp_path, "--url", server.url, "--user", "max").start()
    try:
        await listening.until_news("connected")
        await publish(server, "ticket.assigned", assigned("max"))
        await publish(server, "ticket.created", CREATED)
        await listening.until_printed(2)
        assert [(one["kind"], one["type"]) for one in listening.objects] == [
            ("notification", "assigned"),
            ("broadcast", "created"),
        ]
    finally:
        listening.stop()
    (event := tmp_path / "event.json").write_text('{"agent": "max"}')
    (routes := tmp_path / "helpdesk.toml").write_text(ROUTES)
    command = [HERALD, "routes", "explain", str(routes), "shipped:groups", str(event), "--source", "ticket.assigned"]
    explained = (await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)).stdout
    (shown,) = (line for line in explained.splitlines() if line.startswith("endpoints"))
    assert re.findall(r"\((\w+)\)", shown)[:4] == ["desk", "agent", "any", "ticker"]
    assert "(groups)" not in shown


async def test_two_endpoints_on_one_path(server: Server) -> None:
    async with (
        connect(f"{server.ws_url}/desk/sockets?agent=ada") as desk,
        connect(f"{server.ws_url}/desk/sockets") as wall,
    ):
        await publish(server, "ticket.assigned", assigned("ada"))
        await publish(server, "ticket.created", CREATED)
        assert (await frame(desk))["type"] == "assigned"
        assert await frame(desk) == {"type": "created", "data": {"ticket": 1}}
        assert await frame(wall) == {"type": "created", "data": {"ticket": 1}}


async def test_the_user_in_the_path(server: Server) -> None:
    async with (
        connect(f"{server.ws_url}/desk/agents/a%2Fb") as socket,
        connect(f"{server.ws_url}/desk/agents/other") as other,
    ):
        await publish(server, "ticket.created", CREATED)
        await publish(server, "ticket.assigned", assigned("a/b"))
        assert await frame(socket) == {"type": "assigned", "data": {"agent": "a/b"}}
        await silent(other)
    with pytest.raises(InvalidStatus, match="404"):
        await connect(f"{server.ws_url}/desk/agents/a/b")


@pytest.mark.parametrize("agent", ["kim", "agents", "ticker", "a%2Fb"])
async def test_a_path_parameter_excludes_paths_of_the_same_transport(server: Server, agent: str) -> None:
    async with connect(f"{server.ws_url}/desk/{agent}") as socket:
        await publish(server, "ticket.assigned", assigned(agent.replace("%2F", "/")))
        assert (await frame(socket))["type"] == "assigned"


async def test_an_event_stream_with_its_own_messages(server: Server) -> None:
    async with stream(server, "?agent=kim", path="/desk/ticker") as events:
        _, connected = await events.next()
        assert connected.keys() == {"hello", "timestamp", "cursor"}
        await publish(server, "ticket.assigned", assigned("kim"))
        cursor, event = await events.next()
        assert event == {"type": "assigned", "data": {"agent": "kim"}}
    await publish(server, "ticket.assigned", assigned("kim"))
    async with stream(server, "?agent=kim", path="/desk/ticker", **{"last-event-id": cursor}) as events:
        await events.next()
        assert (await events.next())[1] == event


async def test_herald_v1_clients_connect_to_own_endpoints(server: Server) -> None:
    async with connect(f"{server.ws_url}/ws?user_id=lee", subprotocols=[SUBPROTOCOL]) as socket:
        (hello,) = await objects(socket, 1)
        assert hello["positions"].keys() == {"inbox", "news"}
        async with stream(server, "?protocol=1&user_id=lee") as events:
            assert (await events.next())[1]["positions"].keys() == {"inbox", "news"}
            await publish(server, "ticket.assigned", assigned("lee"))
            (notification,) = await objects(socket, 1)
            assert notification["kind"] == "notification"
            assert (await events.next())[1]["id"] == notification["id"]


async def test_documents_page_and_metrics_include_own_endpoints(server: Server) -> None:
    async with (
        connect(f"{server.ws_url}/desk/agents/ada"),
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        listed = [(one["kind"], one["path"], one["for"]) for one in (await client.get("/")).json()["endpoints"]]
        assert listed[:5] == [
            ("WS", "/desk/sockets?agent=", "desk"),
            ("WS", "/desk/sockets", "wall"),
            ("WS", "/desk/agents/{agent}", "agent"),
            ("WS", "/desk/{agent}", "any"),
            ("SSE", "/desk/ticker", "ticker"),
        ]
        assert ("WS", f"{GROUPS_PATH}/{{user_id}}", "groups") in listed
        asyncapi = (await client.get("/schema/asyncapi.json")).json()
        assert asyncapi["channels"]["agent"]["address"] == "/desk/agents/{agent}"
        assert asyncapi["channels"]["agent"]["parameters"].keys() == {"agent"}
        assert asyncapi["channels"]["ticker"]["description"] == (
            "Plain clients: `{type, data}`: the feed `news`, the user's own notifications."
        )
        assert asyncapi["channels"]["orders"]["address"] == "/ws"
        operation = (await client.get("/schema/openapi.json")).json()["paths"]["/desk/ticker"]["get"]
        assert operation["operationId"] == "event_stream_ticker"
        assert [(one["name"], one["in"], one["schema"]) for one in operation["parameters"]] == [
            ("agent", "query", {"type": "string"})
        ]
        assert (await client.head("/desk/ticker")).status_code == 405
        metrics = (await client.get("/metrics", headers={"accept": "text/plain"})).text
        assert re.search(r'^herald_sessions_open\{endpoint="agent",listener="\w+"\} 1\.0$', metrics, re.MULTILINE)
    assert '"endpoint": "agent"' in server.log or "endpoint=agent" in server.log


async def test_a_token_must_belong_to_the_user_in_the_path(start_server: StartServer, tmp_path: Path) -> None:
    (file := tmp_path / "helpdesk.toml").write_text(ROUTES)
    server = start_server({"HERALD_ROUTES": str(file), "HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET})
    headers = {"authorization": f"Bearer {token('ada')}"}
    for path, code in (("/desk/agents/bob", 4501), ("/desk/sockets?agent=bob", 4501)):
        async with connect(server.ws_url + path, additional_headers=headers) as socket:
            await socket.wait_closed()
            assert socket.close_code == code
    async with connect(f"{server.ws_url}/desk/agents/ada", additional_headers=headers) as socket:
        bearer = token("ops", scope="events:publish")
        await publish(server, "ticket.assigned", assigned("ada"), token=bearer)
        assert (await frame(socket))["type"] == "assigned"
