"""With HERALD_JWT_USER_CLAIM, another claim than `sub` is the user everywhere."""

import time
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import StartServer
from tests.support.clients import closed, connect, frame, objects, publish, token
from tests.support.server import SECRET, Server

GROUPS_PATH = "/ws/v2/notification-service/notifications/users"
ADD_USERS = "user_service.group.add_users"
CLAIM = "https://shop.example/user_id"


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    env = {"HERALD_JWT_SECRET": SECRET, "HERALD_BROKER": "memory", "HERALD_JWT_USER_CLAIM": CLAIM}
    return start_shared_server(env, ("serve",))


def token_of(user: str, sub: str = "auth0|7", **claims: Any) -> str:
    return token(sub, **{CLAIM: user}, **claims)


PUBLISHER = token_of("publisher", scope="events:publish")


async def test_sockets_and_inboxes_belong_to_the_user_of_the_claim(server: Server) -> None:
    async with connect(f"{server.ws_url}{GROUPS_PATH}/ada?jwt={token_of('ada')}") as socket:
        await publish(server, ADD_USERS, {"receivers": ["ada"], "n": 1}, token=PUBLISHER)
        assert (await frame(socket))["data"] == {"n": 1}
    async with connect(f"{server.ws_url}{GROUPS_PATH}/auth0%7C7?jwt={token_of('ada')}") as socket:
        assert await closed(socket) == 4501
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {token_of('ada')}"}) as client:
        count = await client.get("/api/v2/notifications/unread-count?user_id=ada")
        assert count.json() == {"unread_count": 1, "unseen_count": 1}
        assert (await client.get("/api/v2/notifications?user_id=auth0%7C7")).status_code == 403


async def test_a_token_without_the_claim_is_refused(server: Server) -> None:
    async with connect(f"{server.ws_url}{GROUPS_PATH}/bob?jwt={token('bob')}") as socket:
        assert await closed(socket) == 4504
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {token('bob')}"}) as client:
        answer = await client.get("/api/v2/notifications")
        assert (answer.status_code, answer.json()["detail"]) == (401, f"The token has no {CLAIM}.")


async def test_an_open_session_is_renewed_by_a_token_of_the_same_user_only(server: Server) -> None:
    address = f"{server.ws_url}/ws?jwt={token_of('eve', sub='one')}"
    async with connect(address, subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        await socket.send(f'{{"auth": "{token_of("eve", sub="two")}"}}')
        assert [one["kind"] for one in await objects(socket, 2)] == ["hello", "auth"]
        await socket.send(f'{{"auth": "{token_of("mallory", sub="one")}"}}')
        assert await closed(socket) == 4501


async def test_a_sign_out_ends_the_sessions_of_the_user_of_the_claim(server: Server) -> None:
    old = token_of("leaver", iat=int(time.time()) - 60)
    async with connect(f"{server.ws_url}{GROUPS_PATH}/leaver?jwt={old}") as socket:
        await publish(server, "user_service.user.logout_account", {"user_id": "leaver"}, token=PUBLISHER)
        assert await closed(socket) == 4502
    async with connect(f"{server.ws_url}{GROUPS_PATH}/leaver?jwt={old}") as socket:
        assert await closed(socket) == 4502
