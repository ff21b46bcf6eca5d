"""Clients that reconnect receive what they missed, once and in order, or a gap is reported."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.support.clients import connect, frame, objects, publish, stream
from tests.support.server import Server

# The tests of this module run at both listeners for WebSockets.
LISTENERS = ("main", "second")


async def hello(socket: Any, resume: Any = None) -> Any:
    await socket.send(json.dumps({"resume": resume or {}}))
    return await frame(socket)


async def test_an_event_published_right_after_the_handshake_arrives(dev_server: Server) -> None:
    for number in range(8):
        user = f"moment-{number}"
        async with (
            connect(f"{dev_server.ws_url}/ws?user_id={user}") as plain,
            connect(f"{dev_server.ws_url}/ws?user_id={user}", subprotocols=["herald.v1"]) as v1,
        ):
            await publish(dev_server, "risk-events", {"user_id": user, "n": number})
            assert (await frame(plain))["data"]["n"] == number
            received = await objects(v1, 2)
            assert received[0]["kind"] == "hello"
            assert received[1]["data"]["n"] == number


@pytest.mark.parametrize("how", ["first frame: positions", "first frame: cursor", "?cursor="])
async def test_herald_v1_resumes(dev_server: Server, how: str) -> None:
    user = str(uuid.uuid4())
    address = f"{dev_server.ws_url}/ws?user_id={user}"
    async with connect(address, subprotocols=["herald.v1"]) as socket:
        first = await hello(socket)
        await publish(dev_server, "risk-events", {"user_id": user, "n": 0})
        seen = await frame(socket)
    await publish(dev_server, "risk-events", *[{"user_id": user, "n": n} for n in range(1, 200)])
    await publish(dev_server, "regime-events", {"regime": user})
    positions = first["positions"] | {"inbox": seen["seq"]}
    cursor = first["cursor"].replace("inbox:0", f"inbox:{seen['seq']}")
    resume: Any = {"epoch": first["epoch"], "positions": positions}
    if how == "first frame: cursor":
        resume = {"cursor": cursor}
    elif how == "?cursor=":
        address, resume = f"{address}&cursor={cursor}", None
    async with connect(address, subprotocols=["herald.v1"]) as socket:
        if resume:
            await socket.send(json.dumps({"resume": resume}))
        received = await objects(socket, 201)
        assert received[0]["kind"] == "hello"
        assert received[0]["resumed"] is True
        assert received[0]["gap"] == []
        mine = [entry for entry in received if entry.get("stream") == "inbox"]
        assert [entry["data"]["n"] for entry in mine] == list(range(1, 200))
        assert [entry["data"] for entry in received if entry.get("stream") == "market"] == [{"regime": user}]


@pytest.mark.http_only
async def test_event_streams_resume_after_every_single_event(dev_server: Server) -> None:
    user = str(uuid.uuid4())
    async with stream(dev_server, f"?user_id={user}") as events:
        cursors = [(await events.next())[0]]
        for n in range(3):
            await publish(dev_server, "risk-events", {"user_id": user, "n": n})
            await publish(dev_server, "product-events", {"id": f"{user}-{n}", "n": n})
        bodies = []
        for _ in range(6):
            cursor, body = await events.next()
            cursors.append(cursor)
            bodies.append(body)
    for index, cursor in enumerate(cursors):
        by = {"last-event-id": cursor} if index % 2 else {}
        query = "" if index % 2 else f"&last_event_id={cursor}"
        async with stream(dev_server, f"?user_id={user}{query}", **by) as events:
            assert "gap" not in (await events.next())[1]
            rest = [(await events.next())[1] for _ in bodies[index:]]
            key = str
            assert sorted(map(key, rest)) == sorted(map(key, bodies[index:]))


@pytest.mark.parametrize(
    "cursor",
    [
        "rubbish",
        "1.000000000000.{tag}.inbox:0",
        "1.{epoch}.000000000000.inbox:0",
        "1.{epoch}.{tag}.inbox:999999",
    ],
)
async def test_an_invalid_cursor_is_reported_as_a_gap(dev_server: Server, cursor: str) -> None:
    user = "gap"
    await publish(dev_server, "risk-events", {"user_id": user})
    async with connect(f"{dev_server.ws_url}/ws?user_id={user}", subprotocols=["herald.v1"]) as socket:
        greeting = await hello(socket)
    _, epoch, tag, _ = greeting["cursor"].split(".")
    asked = cursor.format(epoch=epoch, tag=tag)
    async with connect(f"{dev_server.ws_url}/ws?user_id={user}&cursor={asked}", subprotocols=["herald.v1"]) as socket:
        again = await frame(socket)
        assert again["resumed"] is False
        assert "inbox" in again["gap"]
        assert again["positions"]["inbox"] == greeting["positions"]["inbox"]
    async with stream(dev_server, f"?user_id={user}", **{"last-event-id": asked}) as events:
        assert "inbox" in (await events.next())[1]["gap"]


async def test_filters_by_feed_and_type_still_advance_the_cursor(dev_server: Server) -> None:
    address = f"{dev_server.ws_url}/ws?user_id=narrow&feeds=market&types=market_alert"
    async with connect(address, subprotocols=["herald.v1"]) as socket, connect(address) as plain:
        greeting = await hello(socket)
        assert set(greeting["positions"]) == {"market", "inbox"}
        await publish(dev_server, "regime-events", {"n": 1})
        await publish(dev_server, "alert-events", {"n": 2})
        assert (await frame(plain)) == {"type": "market_alert", "data": {"n": 2}}
        entry = await frame(socket)
        assert entry["data"] == {"n": 2}
        assert entry["seq"] == greeting["positions"]["market"] + 2
        await socket.send('{"ping": 7}')
        assert await frame(socket) == {"kind": "pong", "ping": 7}


async def test_heartbeats_carry_the_cursor(start_server: Any) -> None:
    server = start_server({"HERALD_HEARTBEAT_SECONDS": "1"})
    async with (
        connect(f"{server.ws_url}/ws?user_id=u", subprotocols=["herald.v1"]) as socket,
        connect(f"{server.ws_url}/ws?user_id=u") as plain,
        stream(server) as events,
    ):
        await hello(socket)
        beat = await frame(socket)
        assert beat["kind"] == "heartbeat"
        assert beat["cursor"].startswith("1.")
        await events.next()
        cursor, message = await events.next()
        assert message["type"] == "heartbeat"
        assert message["cursor"] == cursor
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(plain.recv(), 1.5)
