"""The log lines of a request, session or delivery share its id."""

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.e2e.conftest import StartServer
from tests.support.clients import token
from tests.support.reading import until
from tests.support.server import SECRET, Server

ORDER = {
    "source": "order.created",
    "payload": {"order_id": 1, "customer_id": "kim", "customer_email": "kim@example.com", "status": "new"},
}


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server(
        {"HERALD_LOG_FORMAT": "json", "LOG_LEVEL": "debug", "HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET}
    )


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


def of(server: Server, **ids: str) -> list[str]:
    """Return the events of the log lines with these ids, in order."""
    return [line["event"] for line in lines(server) if ids.items() <= line.items()]


def bearer(user: str, **claims: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token(user, **claims)}"}


async def publish_order(server: Server, id: str, **headers: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        headers |= bearer("shop", scope="events:publish")
        answer = await client.post("/api/v1/events", json={"id": id, **ORDER}, headers=headers)
    assert answer.status_code < 300, answer.text


async def test_logs_of_publishing_carry_the_request_id(server: Server) -> None:
    for request_id in ("first-1", "again-2"):
        await publish_order(server, "o-1", **{"x-request-id": request_id})
    await until(lambda: len(of(server, request_id="again-2")) == 2)
    assert of(server, request_id="first-1") == ["request_completed"]
    # Ingest runs in a separate task.
    assert of(server, request_id="again-2") == ["duplicate_event", "request_completed"]
    assert of(server, request_id="again-2", event_id="o-1") == ["duplicate_event"]


async def test_logs_of_a_request_carry_its_user(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        headers = {"x-request-id": "count-1", **bearer("ada")}
        await client.get("/api/v2/notifications/unread-count", headers=headers)
    await until(lambda: of(server, request_id="count-1", user_id="ada") == ["request_completed"])


async def test_logs_of_a_session_carry_its_id_and_user(server: Server) -> None:
    async with connect(f"{server.ws_url}/ws?token={token('lin')}", subprotocols=["herald.v1"]) as socket:
        await socket.recv()
        await socket.send(json.dumps({"auth": "rubbish"}))
        await until(lambda: "jwt_refused" in of(server, user_id="lin"))
    await until(lambda: "session_ended" in of(server, user_id="lin"))
    (opened,) = [line for line in lines(server) if line["event"] == "session_opened" and line["user_id"] == "lin"]
    # A task of the session reads the command.
    keys = of(server, session_id=opened["session_id"], user_id="lin")
    assert keys == ["session_opened", "jwt_refused", "session_ended"]


async def test_logs_of_an_event_stream_carry_session_and_request_id(server: Server) -> None:
    async with (
        httpx.AsyncClient(base_url=server.url) as client,
        client.stream("GET", "/events/stream", headers={"x-request-id": "stream-1"}) as answer,
    ):
        await anext(answer.aiter_raw())
    await until(lambda: len(of(server, request_id="stream-1")) == 3)
    opened = next(line for line in lines(server) if line.get("request_id") == "stream-1" and "session_id" in line)
    keys = of(server, session_id=opened["session_id"], request_id="stream-1")
    assert sorted(keys) == ["request_completed", "session_ended", "session_opened"]


async def test_logs_of_a_delivery_carry_its_id_and_event(server: Server) -> None:
    await publish_order(server, "o-2")
    await until(lambda: "delivery_sent" in of(server, event_id="o-2"))
    (sent,) = [line for line in lines(server) if line["event"] == "delivery_sent" and line["event_id"] == "o-2"]
    assert sent["delivery_id"]
    assert sent["origin"] == "order.created"
