"""What a client receives before its session starts: `hello`, or `bye` and a close code."""

import json
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.conftest import StartServer
from tests.support.clients import closed, connect, frame, publish, stream, token
from tests.support.reading import until
from tests.support.server import SECRET, Server

# The tests of this module run at both listeners for WebSockets.
LISTENERS = ("main", "second")

USERS = "/ws/v2/notification-service/notifications/users"
PUBLISHER = token("publisher", scope="events:publish")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    env = {"HERALD_JWT_SECRET": SECRET, "HERALD_BROKER": "memory", "HERALD_MAX_SESSIONS_PER_USER": "2"}
    return start_shared_server({**env, "HERALD_LOG_FORMAT": "json"}, ("serve",))


def header(shown: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {shown}"}}


def expired() -> str:
    return token("u", exp=int(time.time()) - 60)


async def all_of(server: Server, path: str, first: Any = None, **options: Any) -> tuple[list[Any], int]:
    """Return everything a client receives until the server closes, and the close code. `first` is its first frame:
    bytes are sent unchanged, everything else as JSON."""
    sent: list[Any] = []
    async with connect(server.ws_url + path, **options) as socket:
        if first is not None:
            await socket.send(first if isinstance(first, bytes) else json.dumps(first))
        with suppress(ConnectionClosed):
            while True:
                sent.append(await frame(socket))
        return sent, await closed(socket)


REFUSED: dict[str, tuple[str, dict[str, Any], Any, int]] = {
    "invalid token": (f"{USERS}/u", header("rubbish"), None, 4504),
    "expired token": (f"{USERS}/u", header(expired()), None, 4401),
    "another's": (f"{USERS}/you", header(token("me")), None, 4501),
    "closed feed": ("/ws?feeds=market,orders", {}, {"resume": {}}, 4504),
    "unknown feed": ("/ws?feeds=nowhere", {}, None, 4506),
    "invalid token, first frame": (f"{USERS}/u", {}, {"auth": "rubbish"}, 4504),
    "expired token, first frame": (f"{USERS}/u", {}, {"auth": expired()}, 4401),
    "another's, first frame": (f"{USERS}/you", {}, {"auth": token("me")}, 4501),
    "no token, first frame": (f"{USERS}/u", {}, {"resume": {}}, 4504),
    "no command, first frame": (f"{USERS}/u", {}, [], 4505),
    "invalid token where something is public": ("/ws", {}, {"auth": "rubbish", "resume": {}}, 4504),
    "expired token where something is public": ("/ws", {}, {"auth": expired(), "resume": {}}, 4401),
    "invalid token, and a place": ("/ws?cursor=1.e.00000000000a.inbox:1", {}, {"auth": "rubbish"}, 4504),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refused_herald_v1_client_receives_only_bye(server: Server, case: str) -> None:
    path, options, first, code = REFUSED[case]
    sent, close_code = await all_of(server, path, first, subprotocols=["herald.v1"], **options)
    assert [(one["kind"], one["code"]) for one in sent] == [("bye", code)]
    assert sent[0]["reason"]
    assert close_code == code


@pytest.mark.parametrize("case", [case for case, (_, _, first, _) in REFUSED.items() if first is None])
async def test_a_refused_plain_client_receives_only_the_close_code(server: Server, case: str) -> None:
    path, options, _, code = REFUSED[case]
    assert await all_of(server, path, **options) == ([], code)


async def test_a_refusal_after_the_first_frame_sends_bye_too(server: Server) -> None:
    shown = token("full")
    async with connect(f"{server.ws_url}/ws?jwt={shown}"), connect(f"{server.ws_url}/ws?jwt={shown}"):
        for path in ("/ws", f"{USERS}/full"):
            sent, code = await all_of(server, path, {"auth": shown}, subprotocols=["herald.v1"])
            assert ([(one["kind"], one["code"]) for one in sent], code) == ([("bye", 4503)], 4503)


@pytest.mark.parametrize("path", ["/ws", f"{USERS}/newcomer"])
@pytest.mark.parametrize("resume", [{"resume": {}}, {}])
async def test_a_token_without_a_resume_point_in_the_first_frame_resumes_nothing(
    server: Server, path: str, resume: dict[str, Any]
) -> None:
    async with connect(server.ws_url + path, subprotocols=["herald.v1"]) as socket:
        await socket.send(json.dumps({"auth": token("newcomer"), **resume}))
        hello = await frame(socket)
        assert (hello["kind"], hello["resumed"], hello["gap"]) == ("hello", False, [])
        assert "inbox" in hello["positions"]


async def test_a_resume_point_stays_valid_after_a_refused_token(server: Server) -> None:
    shown = token("away")
    async with connect(f"{server.ws_url}/ws?jwt={shown}", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        place = (await frame(socket))["cursor"]
    await publish(server, "user_service.group.add_users", {"receivers": ["away"], "n": 1}, token=PUBLISHER)
    sent, _ = await all_of(server, "/ws", {"auth": "rubbish", "resume": {"cursor": place}}, subprotocols=["herald.v1"])
    assert [one["kind"] for one in sent] == ["bye"]
    async with connect(server.ws_url + "/ws", subprotocols=["herald.v1"]) as socket:
        await socket.send(json.dumps({"auth": shown, "resume": {"cursor": place}}))
        assert (await frame(socket))["resumed"] is True
        assert (await frame(socket))["data"] == {"n": 1}


@pytest.mark.parametrize("path", ["/ws", f"{USERS}/kim"])
@pytest.mark.parametrize("auth", [None, 5, {"t": 1}])
@pytest.mark.parametrize("by", ["frame", "handshake", "binary frame"])
async def test_a_first_frame_with_a_non_text_token_is_refused_with_a_reason(
    server: Server, path: str, auth: Any, by: str
) -> None:
    place = "1.e.00000000000a.inbox:1"
    first: Any = {"auth": auth} if by == "handshake" else {"auth": auth, "resume": {"cursor": place}}
    sent, code = await all_of(
        server,
        f"{path}?cursor={place}" if by == "handshake" else path,
        json.dumps(first).encode() if by == "binary frame" else first,
        subprotocols=["herald.v1"],
    )
    assert ([(one["kind"], one["code"]) for one in sent], code) == ([("bye", 4504)], 4504)
    assert sent[0]["reason"]


@pytest.mark.parametrize("first", [b'{"resume": {}}', {"nope": 1}, [], {"auth": None}, b'{"auth": null}'])
async def test_an_invalid_command_during_a_session_is_an_error(server: Server, first: Any) -> None:
    async with connect(server.ws_url + "/ws", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        assert (await frame(socket))["kind"] == "hello"
        await socket.send(first if isinstance(first, bytes) else json.dumps(first))
        answer = await frame(socket)
        assert (answer["kind"], answer["code"]) == ("error", "invalid_input")
        await socket.send('{"ping": 1}')
        assert await frame(socket) == {"kind": "pong", "ping": 1}


@pytest.mark.parametrize("first", [b'{"resume": {}}', b"\xff", {"nope": 1}, []])
async def test_an_invalid_first_frame_without_a_token_is_an_error(server: Server, first: Any) -> None:
    async with connect(server.ws_url + "/ws", subprotocols=["herald.v1"]) as socket:
        await socket.send(first if isinstance(first, bytes) else json.dumps(first))
        assert [(await frame(socket))["kind"] for _ in range(2)] == ["hello", "error"]


async def test_subprotocols_in_two_header_lines_are_one_list(server: Server) -> None:
    lines = {"Sec-WebSocket-Protocol": f"other, bearer.{token('lines')}"}
    address = f"{server.ws_url}{USERS}/lines"
    async with connect(address, subprotocols=["herald.v1"], additional_headers=lines) as socket:
        assert socket.subprotocol == "herald.v1"
        await socket.send('{"resume": {}}')
        assert (await frame(socket))["kind"] == "hello"


@pytest.mark.parametrize("user", ["a/b", "/a", "a//b/", "a/users/b", "c%2Fd", "e f", "ü/ß"])
async def test_any_user_id_is_accepted_percent_encoded_in_the_path(server: Server, user: str) -> None:
    async with connect(f"{server.ws_url}{USERS}/{quote(user, safe='')}?jwt={token(user)}") as socket:
        await publish(server, "user_service.group.add_users", {"receivers": [user], "n": 1}, token=PUBLISHER)
        assert (await frame(socket))["data"] == {"n": 1}


async def test_a_path_below_a_user_is_not_found(server: Server) -> None:
    for path in (f"{USERS}/a/b", f"{USERS}//", f"{USERS}/a//", USERS):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{server.ws_url}{path}?jwt={token('a/b')}")
        assert refused.value.response.status_code in (403, 404), path


async def test_an_unknown_feed_is_named_in_the_error(server: Server) -> None:
    async with connect(server.ws_url + "/ws/notifications?feeds=nowhere") as socket:
        assert await closed(socket) == 4506
        assert socket.close_reason == 'There is no feed "nowhere" at this endpoint.'
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get("/events/stream?feeds=products,nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_feed")
    assert answer.json()["detail"] == 'There is no feed "nowhere" at this endpoint.'


async def test_session_opened_and_session_ended_are_logged_with_the_same_ids(server: Server) -> None:
    before = len(server.log.splitlines())
    shown = token("logged")

    def lines(event: str) -> list[dict[str, Any]]:
        said = [json.loads(line) for line in server.log.splitlines()[before:] if line.startswith("{")]
        return [line for line in said if line["event"] == event]

    async with (
        connect(f"{server.ws_url}/ws?user_id=logged&jwt={shown}", subprotocols=["herald.v1"]),
        stream(server) as events,
    ):
        await events.next()
        await until(lambda: len(lines("session_opened")) == 2)
        opened = lines("session_opened")
    fields = ("endpoint", "session_id", "user_id")
    assert sorted((line["endpoint"], line["user_id"]) for line in opened) == [
        ("products", None),
        ("trading", "logged"),
    ]
    expected = {tuple(line[name] for name in fields) for line in opened}
    await until(lambda: expected <= {tuple(line[name] for name in fields) for line in lines("session_ended")})
