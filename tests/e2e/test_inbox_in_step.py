"""State changes by REST reach every herald.v1 session of the user, as the protocol specifies, and no plain client."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.clients import connect, every, frame, objects, publish, silent, stream
from tests.support.server import Server

INBOX = "/api/v2/notifications"


@pytest.fixture(scope="module")
def server() -> Any:
    server = Server({"DATABASE_URL": "memory:", "HERALD_REST_RATE": "0"}).start(ready=True)
    yield server
    server.kill()


class Device:
    """A REST client of one user."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self.user = str(uuid4())
        self.server = server
        self.client = client
        self.ws = f"{server.ws_url}/ws?user_id={self.user}"
        self.sse = f"?user_id={self.user}"

    async def ask(self, method: str, path: str = "", **query: Any) -> Any:
        body = query.pop("body", None)
        query["user_id"] = self.user
        answer = await self.client.request(method, INBOX + path, params=query, content=body and json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def sent(self, count: int) -> list[str]:
        """Publish notifications for the user. Returns the ids of the whole inbox, oldest first."""
        await publish(self.server, "risk-events", *[{"user_id": self.user, "n": n} for n in range(count)])
        return [item["id"] for item in (await self.ask("GET", limit=100))["data"]][::-1]


@pytest.fixture
async def device(server: Server) -> AsyncIterator[Device]:
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        yield Device(server, client)


async def hello(socket: Any) -> Any:
    await socket.send('{"resume": {}}')
    return await frame(socket)


def told(entry: Any) -> tuple[Any, ...]:
    return entry["kind"], entry["id"], entry["seq"], entry["changed"], entry["unread"]


async def test_every_herald_v1_session_receives_every_state_change(device: Device) -> None:
    ids = await device.sent(3)
    async with (
        connect(device.ws, subprotocols=["herald.v1"]) as one,
        connect(device.ws, subprotocols=["herald.v1"]) as two,
        stream(device.server, device.sse + "&protocol=1") as events,
        connect(device.ws) as plain,
        stream(device.server, device.sse) as plain_events,
        connect(f"{device.server.ws_url}/ws?user_id=stranger", subprotocols=["herald.v1"]) as stranger,
    ):
        greetings = [await hello(one), await hello(two), (await events.next())[1]]
        assert [greeting["unread"] for greeting in greetings] == [3, 3, 3]
        assert (await hello(stranger))["unread"] == 0
        await plain_events.next()
        await device.ask("PUT", f"/{ids[1]}/read")
        await device.ask("PUT", f"/{ids[1]}/read")
        await device.ask("PUT", f"/{ids[1]}/unread")
        await device.ask("PUT", f"/{ids[0]}/read")
        await device.ask("DELETE", f"/{ids[2]}")
        expected = [
            ("read", ids[1], 2, 4, 2),
            ("unread", ids[1], 2, 5, 3),
            ("read", ids[0], 1, 6, 2),
            ("archived", ids[2], 3, 7, 1),
        ]
        for socket in (one, two):
            assert [told(entry) for entry in await objects(socket, 4)] == expected
        seen = [await events.next() for _ in expected]
        assert [told(entry) for _, entry in seen] == expected
        assert [cursor.rpartition("inbox:")[2].partition(",")[0] for cursor, _ in seen] == ["4", "5", "6", "7"]
        await silent(plain)
        await silent(stranger)
        # The next message of a plain client is the next arrival.
        await publish(device.server, "risk-events", {"user_id": device.user, "n": "next"})
        assert (await plain_events.next())[1]["data"]["n"] == "next"
        assert (await frame(plain))["data"]["n"] == "next"


async def test_a_move_of_the_watermark_reaches_every_herald_v1_session(device: Device) -> None:
    await device.sent(3)
    cursor = (await device.ask("GET"))["meta"]["cursor"]
    async with (
        connect(device.ws, subprotocols=["herald.v1"]) as one,
        stream(device.server, device.sse + "&protocol=1") as events,
        connect(device.ws) as plain,
        stream(device.server, device.sse) as plain_events,
    ):
        assert (await hello(one))["unseen"] == (await events.next())[1]["unseen"] == 3
        await plain_events.next()
        for _ in range(2):
            assert (await device.ask("PUT", "/seen", body={"up_to": 2}))["unseen_count"] == 1
        await device.sent(1)
        seen = {"kind": "seen", "stream": "inbox", "seq": 2, "changed": 4, "unseen": 1}
        moved, arrival = await objects(one, 2)
        assert (moved, arrival["seq"], arrival["unread"], arrival["unseen"]) == (seen, 5, 4, 2)
        id_, moved = await events.next()
        assert (id_.rpartition("inbox:")[2].partition(",")[0], moved) == ("4", seen)
        # Plain clients receive nothing but the arrival.
        assert (await plain_events.next())[1]["data"]["n"] == (await frame(plain))["data"]["n"] == 0
    async with connect(f"{device.ws}&cursor={cursor}", subprotocols=["herald.v1"]) as socket:
        greeting, moved, arrival = await objects(socket, 3)
        assert (greeting["unseen"], moved["kind"], moved["unseen"], arrival["seq"]) == (2, "seen", 2, 5)
    changes = await device.ask("GET", "/changes", since=cursor)
    assert [item["seq"] for item in changes["data"]] == [5]
    assert changes["meta"]["seen"] == {"stream": "inbox", "seq": 2, "changed": 4, "unseen": 2}


async def test_a_bulk_change_reaches_sessions_completely(device: Device) -> None:
    ids = await device.sent(100)
    async with (
        connect(device.ws, subprotocols=["herald.v1"]) as socket,
        stream(device.server, device.sse + "&protocol=1") as events,
        connect(device.ws) as plain,
    ):
        await hello(socket)
        await events.next()
        assert (await device.ask("PUT", "/mark-all-read", body={"up_to": ids[69]}))["marked"] == 70
        marked = await objects(socket, 70)
        assert sorted(entry["id"] for entry in marked) == sorted(ids[:70])
        assert {(entry["changed"], entry["unread"]) for entry in marked} == {(101, 30)}
        assert {entry["kind"] for entry in marked} == {"read"}
        assert sorted([(await events.next())[1]["id"] for _ in range(70)]) == sorted(ids[:70])
        assert (await device.ask("DELETE", "/clear-all"))["archived"] == 100
        gone = await objects(socket, 100)
        assert {(entry["kind"], entry["unread"]) for entry in gone} == {("archived", 0)}
        assert {entry["id"] for entry in gone} == set(ids)
        await silent(plain)


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_client_that_was_disconnected_resumes_to_the_current_state(device: Device, transport: str) -> None:
    ids = await device.sent(3)
    cursor = (await device.ask("GET"))["meta"]["cursor"]
    await device.ask("PUT", f"/{ids[0]}/read")
    await device.ask("DELETE", f"/{ids[1]}")
    await device.sent(1)
    if transport == "ws":
        async with connect(f"{device.ws}&cursor={cursor}", subprotocols=["herald.v1"]) as socket:
            greeting, *entries = await objects(socket, 4)
    else:
        async with stream(device.server, f"{device.sse}&protocol=1&cursor={cursor}") as events:
            greeting, *entries = [(await events.next())[1] for _ in range(4)]
    assert (greeting["resumed"], greeting["gap"], greeting["unread"]) == (True, [], 2)
    found = [(entry["kind"], entry["seq"], entry.get("changed"), entry.get("read")) for entry in entries]
    assert found == [("notification", 1, 4, True), ("archived", 2, 5, None), ("notification", 6, None, False)]
    # GET /changes from the same cursor returns the same changes.
    changes = await device.ask("GET", "/changes", since=cursor)
    assert [(item["seq"], item["is_archived"], item.get("is_read")) for item in changes["data"]] == [
        (1, False, True),
        (2, True, None),
        (6, False, False),
    ]


async def test_session_cursors_and_changes_cursors_are_interchangeable(device: Device) -> None:
    async with connect(device.ws, subprotocols=["herald.v1"]) as socket:
        cursor = (await hello(socket))["cursor"]
    (id,) = await device.sent(1)
    changes = await device.ask("GET", "/changes", since=cursor)
    assert [item["id"] for item in changes["data"]] == [id]
    await device.ask("PUT", f"/{id}/read")
    address = f"{device.ws}&cursor={changes['meta']['cursor']}"
    async with connect(address, subprotocols=["herald.v1"]) as socket:
        greeting, entry = await objects(socket, 2)
        assert (greeting["resumed"], greeting["gap"]) == (True, [])
        assert set(greeting["positions"]) > {"inbox"}
        assert (entry["kind"], entry["id"], entry["seq"], entry["changed"]) == ("notification", id, 1, 2)
        assert (entry["read"], entry["unread"]) == (True, 0)


async def test_notifications_of_muted_types_are_stored_and_not_pushed(device: Device) -> None:
    async with (
        connect(device.ws, subprotocols=["herald.v1"]) as socket,
        connect(device.ws) as plain,
        stream(device.server, device.sse) as events,
    ):
        await hello(socket)
        await events.next()
        muted = {"muted_types": ["risk_alert"]}
        answer = await device.client.patch(f"/api/v2/preferences?user_id={device.user}", json=muted)
        assert answer.status_code == 200
        (id,) = await device.sent(1)
        await publish(device.server, "execution-events", {"user_id": device.user, "n": "loud"})
        assert [entry["data"]["n"] for entry in await objects(socket, 1)] == ["loud"]
        assert [json.loads(text)["data"]["n"] for text in await every(plain, 0.4)] == ["loud"]
        _, pushed = await events.next()
        assert pushed.get("data", {}).get("n") == "loud", pushed
        listing = await device.ask("GET")
        state = [(item["seq"], item["is_muted"], item["is_read"]) for item in listing["data"]]
        assert state == [(2, False, False), (1, True, True)]
        assert listing["meta"]["unread_count"] == 1
        # A later state change is pushed anyway, because the unread total has changed.
        await device.ask("PUT", f"/{id}/unread")
        assert told((await objects(socket, 1))[0]) == ("unread", id, 1, 3, 2)
