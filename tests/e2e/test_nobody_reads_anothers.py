"""No user can read data of another user: every operation with ids of another user, and every stream with the identity
of another user."""

from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import StartServer
from tests.support.clients import closed, connect, frame, publish, token
from tests.support.server import SECRET, Server

ENV: Final = {
    "DATABASE_URL": "memory:",
    "HERALD_AUTH": "jwt",
    "HERALD_BROKER": "memory",
    "HERALD_JWT_SECRET": SECRET,
}

SOURCE: Final = "user_service.group.add_users"

# These ids belong to no user; access is refused because the scope is missing.
FOR_ADMINS: Final = ("/api/v1/dead-letters", "/api/v1/mails", "/api/v1/notifications")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server(ENV, ("serve",))


@pytest.fixture
def ada() -> dict[str, str]:
    return {"authorization": f"Bearer {token('ada')}"}


@pytest.fixture
def bob() -> dict[str, str]:
    return {"authorization": f"Bearer {token('bob')}"}


async def _operations(client: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    document = (await client.get("/schema/openapi.json")).json()
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def _named(operation: dict[str, Any], where: str) -> dict[str, Any]:
    return {one["name"]: one for one in operation.get("parameters", []) if one["in"] == where}


async def test_every_operation_refuses_ids_of_another_user(
    server: Server, ada: dict[str, str], bob: dict[str, str]
) -> None:
    await publish(server, SOURCE, {"receivers": ["ada"], "data": {"secret": "of ada"}}, token=token("x", scope="admin"))
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        (before,) = (await client.get("/api/v2/notifications", headers=ada)).json()["data"]
        walked = []
        for path, method, operation in await _operations(client):
            if "id" not in _named(operation, "path"):
                continue
            answer = await client.request(method, path.replace("{id}", before["id"]), headers=bob)
            expected = 403 if path.startswith(FOR_ADMINS) else 404
            assert answer.status_code == expected, (method, path, answer.text)
            assert "of ada" not in answer.text
            walked.append((method, path))
        assert ("get", "/api/v2/notifications/{id}") in walked
        assert ("delete", "/api/v2/notifications/{id}") in walked
        assert (await client.get("/api/v2/notifications", headers=ada)).json()["data"] == [before]


async def test_every_operation_refuses_another_user_id(server: Server, bob: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        walked = 0
        for path, method, operation in await _operations(client):
            if "user_id" not in _named(operation, "query"):
                continue
            body = {"json": {}} if "requestBody" in operation else {}
            address = path.replace("{id}", "0193a0f4-5b6c-7d8e-9fa0-b1c2d3e4f5a6")
            answer = await client.request(method, address, params={"user_id": "ada"}, headers=bob, **body)
            assert answer.status_code == 403, (method, path, answer.text)
            assert answer.json()["code"] == "not_yours"
            walked += 1
        assert walked > 10


async def test_operations_without_ids_return_only_own_data(server: Server, bob: dict[str, str]) -> None:
    await publish(server, SOURCE, {"receivers": ["ada"], "data": {"secret": "of ada"}}, token=token("x", scope="admin"))
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        for path, method, operation in await _operations(client):
            if method != "get" or "{" in path or path == "/events/stream":
                continue
            answer = await client.get(path, headers=bob)
            assert "of ada" not in answer.text, path
            assert answer.status_code in (200, 403), (path, operation)


@pytest.mark.parametrize(
    "path", ["/ws/notifications", "/ws", "/ws/v2/notification-service/notifications/users/ada", "/events/stream"]
)
@pytest.mark.parametrize("protocol", [False, True])
async def test_every_stream_refuses_another_user_id(
    server: Server, bob: dict[str, str], path: str, protocol: bool
) -> None:
    address = f"{path}?user_id=ada"
    if path == "/events/stream":
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            answer = await client.get(f"{address}&protocol=1" if protocol else address, headers=bob)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_yours")
        return
    offered: Any = ["herald.v1"] if protocol else None
    async with connect(server.ws_url + address, additional_headers=bob, subprotocols=offered) as socket:
        assert await closed(socket) == 4501


async def test_a_cursor_of_another_user_is_a_gap(server: Server, ada: dict[str, str], bob: dict[str, str]) -> None:
    await publish(server, SOURCE, {"receivers": ["ada"], "data": {"secret": "of ada"}}, token=token("x", scope="admin"))
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        cursor = (await client.get("/api/v2/notifications", headers=ada)).json()["meta"]["cursor"]
        changes = (await client.get("/api/v2/notifications/changes", params={"since": cursor}, headers=bob)).json()
    assert changes["meta"]["gap"] is True
    assert changes["data"] == []
    address = f"{server.ws_url}/ws/notifications?cursor={cursor}"
    async with connect(address, additional_headers=bob, subprotocols=["herald.v1"]) as socket:
        hello = await frame(socket)
        assert "inbox" in hello["gap"]
        with pytest.raises((TimeoutError, ConnectionClosed)):
            await frame(socket, 0.5)
