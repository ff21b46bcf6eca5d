"""Authentication and access with real tokens."""

import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.exceptions import InvalidStatus

from tests.e2e.conftest import StartServer
from tests.support.clients import closed, connect, frame, objects, publish, silent, stream, token, until_http
from tests.support.server import SECRET, Server

# The tests of this module run at both listeners for WebSockets.
LISTENERS = ("main", "second")

GROUPS_PATH = "/ws/v2/notification-service/notifications/users"
KEY = rsa.generate_private_key(65537, 2048)
PUBLIC_KEY = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    env = {"HERALD_JWT_SECRET": SECRET, "HERALD_BROKER": "memory", "HERALD_ORIGINS": "https://app.example"}
    return start_shared_server({**env, "HERALD_MAX_SESSIONS_PER_USER": "5"}, ("serve",))


PUBLISHER = token("publisher", scope="events:publish")


def rubbish() -> dict[str, str]:
    now = int(time.time())
    claims = {"sub": "u", "iat": now, "exp": now + 60}
    unsigned = jwt.encode(claims, None, algorithm="none")
    return {
        "rubbish": "rubbish",
        "dots": "..",
        "alg none": unsigned,
        "another key": jwt.encode(claims, "another secret, long enough for HS256 as well", "HS256"),
        "no sub": jwt.encode({"exp": now + 60}, SECRET, "HS256"),
        "tampered": token("u")[:-3] + "abc",
        "rsa": jwt.encode(claims, KEY, "RS256"),
    }


@pytest.mark.parametrize("kind", rubbish())
@pytest.mark.parametrize("way", ["header", "query", "subprotocol", "first frame", "cookie"])
async def test_an_invalid_token_is_refused_in_every_place(server: Server, kind: str, way: str) -> None:
    shown = rubbish()[kind]
    address = f"{server.ws_url}{GROUPS_PATH}/u"
    options: dict[str, Any] = {}
    if way == "header":
        options["additional_headers"] = {"Authorization": f"Bearer {shown}"}
    elif way == "query":
        address += f"?jwt={shown}"
    elif way == "subprotocol":
        options["subprotocols"] = ["herald.v1", f"bearer.{shown}"]
    elif way == "cookie":
        options["additional_headers"] = {"Cookie": f"herald_token={shown}"}
    else:
        options["subprotocols"] = ["herald.v1"]
    async with connect(address, **options) as socket:
        if way == "first frame":
            await socket.send(f'{{"auth": "{shown}"}}')
        assert await closed(socket) == 4504
    assert shown not in server.log


async def test_an_overlong_token_is_refused(server: Server, listener: str) -> None:
    async with connect(f"{server.ws_url}{GROUPS_PATH}/u", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"auth": "' + "x" * 20_000 + '"}')
        # At the second listener a message of a client without a session has at most 16 KB.
        assert await closed(socket) == (4504 if listener == "main" else 1009)


@pytest.mark.parametrize("way", ["header", "query", "subprotocol", "first frame", "cookie"])
async def test_a_valid_token_is_accepted_in_every_place(server: Server, way: str) -> None:
    user = f"good-{way.replace(' ', '-')}"
    shown = token(user)
    address = f"{server.ws_url}{GROUPS_PATH}/{user}"
    options: dict[str, Any] = {}
    if way == "header":
        options["additional_headers"] = {"Authorization": f"Bearer {shown}"}
    elif way == "query":
        address += f"?token={shown}"
    elif way == "cookie":
        options["additional_headers"] = {"Cookie": f"herald_token={shown}"}
    else:
        options["subprotocols"] = ["herald.v1"] + ([f"bearer.{shown}"] if way == "subprotocol" else [])
    async with connect(address, **options) as socket:
        if way == "first frame":
            await socket.send(f'{{"auth": "{shown}", "resume": {{}}}}')
        if "subprotocols" in options:
            assert (await frame(socket))["kind"] == "hello"
        await publish(server, "user_service.group.add_users", {"receivers": [user], "n": 1}, token=PUBLISHER)
        assert (await frame(socket))["data"] == {"n": 1}
    assert shown not in server.log


async def test_without_a_token_only_public_feeds_are_accessible(server: Server) -> None:
    async with connect(server.ws_url + "/ws/notifications") as socket:
        await publish(server, "trading_signals", "public", token=PUBLISHER)
        assert await socket.recv() == "public"
    for path in (f"{GROUPS_PATH}/u", "/ws?user_id=u", "/ws", "/ws/notifications?feeds=orders"):
        async with connect(server.ws_url + path) as socket:
            assert await closed(socket) in (4501, 4504, 4506), path
    async with connect(server.ws_url + "/ws", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        assert set((await frame(socket))["positions"]) == {"signals", "market", "products"}


async def test_streams_of_another_user_are_refused(server: Server) -> None:
    mine = token("me")
    for path in (f"{GROUPS_PATH}/you?jwt={mine}", f"/ws?user_id=you&jwt={mine}"):
        async with connect(server.ws_url + path) as socket:
            assert await closed(socket) == 4501
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get(f"/events/stream?user_id=you&token={mine}")
        assert (answer.status_code, answer.json()["code"]) == (403, "not_yours")
        answer = await client.get("/events/stream", headers={"authorization": "Basic abc"})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


async def test_an_anonymous_session_can_authenticate_later(server: Server) -> None:
    async with connect(server.ws_url + "/ws", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        assert "inbox" not in (await frame(socket))["positions"]
        await publish(server, "trading_signals", "before", token=PUBLISHER)
        assert (await frame(socket))["data"] == "before"
        await socket.send(f'{{"auth": "{token("late")}"}}')
        hello = await frame(socket)
        assert hello["kind"] == "hello"
        assert "inbox" in hello["positions"]
        await publish(server, "trading_signals", "after", token=PUBLISHER)
        await publish(server, "risk-events", {"user_id": "late"}, token=PUBLISHER)
        received = await objects(socket, 2)
        assert [entry["stream"] for entry in received] == ["signals", "inbox"]


async def test_a_session_ends_with_its_token_unless_it_is_renewed(server: Server) -> None:
    short = int(time.time()) + 2
    async with (
        connect(f"{server.ws_url}{GROUPS_PATH}/brief?jwt={token('brief', exp=short)}") as ends,
        connect(
            f"{server.ws_url}{GROUPS_PATH}/brief?jwt={token('brief', exp=short)}", subprotocols=["herald.v1"]
        ) as renewed,
        stream(server, f"?token={token('brief', exp=short)}") as events,
    ):
        await events.next()
        await renewed.send(f'{{"auth": "{token("brief")}"}}')
        answers = await objects(renewed, 2)
        assert {answer["kind"] for answer in answers} == {"hello", "auth"}
        assert await closed(ends) == 4401
        with pytest.raises(StopAsyncIteration):
            await events.next()
        await silent(renewed, 1.5)
        await renewed.send(f'{{"auth": "{token("someone else")}"}}')
        assert await closed(renewed) == 4501


async def test_a_sign_out_closes_sessions_and_refuses_tokens_issued_before_it(server: Server) -> None:
    now = int(time.time())
    old, same, fresh = (token("leaver", iat=iat) for iat in (now - 60, now - 30, now - 29))
    async with (
        connect(f"{server.ws_url}{GROUPS_PATH}/leaver?jwt={old}") as socket,
        connect(f"{server.ws_url}{GROUPS_PATH}/leaver?jwt={fresh}") as newer,
        stream(server, f"?token={same}") as events,
    ):
        await events.next()
        payload = {"user_id": "leaver", "timestamp": now - 29.5}
        await publish(server, "user_service.user.logout_account", payload, token=PUBLISHER)
        assert await closed(socket) == 4502
        with pytest.raises(StopAsyncIteration):
            await events.next()
        await publish(server, "user_service.group.add_users", {"receivers": ["leaver"], "n": 2}, token=PUBLISHER)
        assert (await frame(newer))["data"] == {"n": 2}
    for shown, code, status in ((old, 4502, 204), (same, 4401, 401)):
        async with connect(f"{server.ws_url}{GROUPS_PATH}/leaver?jwt={shown}") as socket:
            assert await closed(socket) == code
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get(f"/events/stream?token={shown}")).status_code == status
    unknown = jwt.encode({"sub": "leaver", "exp": now + 60}, SECRET, "HS256")
    async with connect(f"{server.ws_url}{GROUPS_PATH}/leaver?jwt={unknown}") as socket:
        assert await closed(socket) == 4502


async def test_origins_are_checked(server: Server) -> None:
    address = f"{server.ws_url}/ws/notifications"
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    async with connect(address, origin="https://app.example") as socket:
        await silent(socket, 0.1)
    async with httpx.AsyncClient(base_url=server.url) as client:
        ours = await client.get("/health/live", headers={"origin": "https://app.example"})
        assert ours.headers["access-control-allow-origin"] == "https://app.example"
        theirs = await client.get("/health/live", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in theirs.headers


async def test_the_session_limit_per_user(server: Server) -> None:
    address = f"{server.ws_url}{GROUPS_PATH}/many?jwt={token('many')}"
    sockets = [await connect(address) for _ in range(5)]
    sixth = await connect(address)
    assert await closed(sixth) == 4503
    await sockets.pop().close()
    await until_http(server, "/health", lambda health: health["connections"] == 4, 10)
    again = await connect(address)
    await silent(again, 0.2)
    for socket in (*sockets, again):
        await socket.close()


async def test_publishing_requires_its_scope(server: Server) -> None:
    event = {"source": "trading_signals", "payload": "x"}
    async with httpx.AsyncClient(base_url=server.url) as client:
        for headers, status, code in (
            ({}, 401, "token_missing"),
            ({"authorization": "Bearer rubbish"}, 401, "token_invalid"),
            ({"authorization": f"Bearer {token('u')}"}, 403, "scope_missing"),
            ({"cookie": f"herald_token={PUBLISHER}"}, 401, "token_missing"),
        ):
            answer = await client.post("/api/v1/events", json=event, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_an_rsa_public_key_is_not_accepted_as_a_shared_secret(start_server: StartServer) -> None:
    server = start_server({"HERALD_JWT_PUBLIC_KEY": PUBLIC_KEY.decode(), "HERALD_BROKER": "memory"}, ("serve",))
    now = int(time.time())
    claims = {"sub": "u", "iat": now, "exp": now + 60}
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}')
    body = jwt.utils.base64url_encode(str(claims).replace("'", '"').encode())
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = jwt.utils.base64url_encode(algorithm.sign(header + b"." + body, PUBLIC_KEY))
    forged = b".".join((header, body, signature)).decode()
    async with connect(f"{server.ws_url}{GROUPS_PATH}/u?jwt={forged}") as socket:
        assert await closed(socket) == 4504
    good = jwt.encode(claims, KEY, "RS256")
    async with connect(f"{server.ws_url}{GROUPS_PATH}/u?jwt={good}") as socket:
        await silent(socket, 0.2)
