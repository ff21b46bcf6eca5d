"""The log lines of a request, session or delivery share its id."""

import json
from collections.abc import Callable
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.e2e.conftest import StartServer
from tests.support.clients import token
from tests.support.reading import until
from tests.support.server import SECRET, Server

JSON_LOG = {"HERALD_LOG_FORMAT": "json", "LOG_LEVEL": "debug"}

ORDER = {
    "source": "order.created",
    "id": "o-1",
    "payload": {"order_id": 1, "customer_id": "kim", "customer_email": "kim@example.com", "status": "new"},
}


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


def of(server: Server, **ids: str) -> list[str]:
    """Return the events of the log lines with these ids, in order."""
    return [line["event"] for line in lines(server) if ids.items() <= line.items()]


def logged(server: Server, key: str) -> Callable[[], bool]:
    return lambda: key in [line["event"] for line in lines(server)]


async def test_logs_of_publishing_carry_the_request_id(start_server: StartServer) -> None:
    server = start_server(JSON_LOG)
    async with httpx.AsyncClient(base_url=server.url) as client:
        for request_id in ("first-1", "again-2"):
            answer = await client.post("/api/v1/events", json=ORDER, headers={"x-request-id": request_id})
            assert answer.status_code < 300, answer.text
    await until(logged(server, "duplicate_event"))
    assert of(server, request_id="first-1") == ["request_completed"]
    # Ingest runs in a separate task.
    assert of(server, request_id="again-2") == ["duplicate_event", "request_completed"]
    assert of(server, request_id="again-2", event_id="o-1") == ["duplicate_event"]


async def test_logs_of_a_request_carry_its_user(start_server: StartServer) -> None:
    server = start_server(JSON_LOG)
    async with httpx.AsyncClient(base_url=server.url) as client:
        await client.get("/api/v2/notifications/unread-count?user_id=ada", headers={"x-request-id": "count-1"})
    await until(lambda: of(server, request_id="count-1", user_id="ada") == ["request_completed"])


async def test_logs_of_a_session_carry_its_id_and_user(start_server: StartServer) -> None:
    server = start_server({**JSON_LOG, "HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET})
    async with connect(f"{server.ws_url}/ws?token={token('ada')}", subprotocols=["herald.v1"]) as socket:
        await socket.recv()
        await socket.send(json.dumps({"auth": "rubbish"}))
        await until(logged(server, "jwt_refused"))
    await until(logged(server, "session_ended"))
    (opened,) = [line for line in lines(server) if line["event"] == "session_opened"]
    assert opened["user_id"] == "ada"
    # A task of the session reads the command.
    keys = of(server, session_id=opened["session_id"], user_id="ada")
    assert keys == ["session_opened", "jwt_refused", "session_ended"]


async def test_logs_of_an_event_stream_carry_session_and_request_id(start_server: StartServer) -> None:
    server = start_server(JSON_LOG)
    async with (
        httpx.AsyncClient(base_url=server.url) as client,
        client.stream("GET", "/events/stream", headers={"x-request-id": "stream-1"}) as answer,
    ):
        await anext(answer.aiter_raw())
    await until(logged(server, "session_ended"))
    (opened,) = [line for line in lines(server) if line["event"] == "session_opened"]
    keys = of(server, session_id=opened["session_id"], request_id="stream-1")
    assert sorted(keys) == ["request_completed", "session_ended", "session_opened"]


async def test_logs_of_a_delivery_carry_its_id_and_event(start_server: StartServer) -> None:
    server = start_server(JSON_LOG)
    async with httpx.AsyncClient(base_url=server.url) as client:
        await client.post("/api/v1/events", json=ORDER)
    await until(logged(server, "delivery_sent"))
    (sent,) = [line for line in lines(server) if line["event"] == "delivery_sent"]
    assert sent["delivery_id"]
    assert (sent["origin"], sent["event_id"]) == ("order.created", "o-1")
