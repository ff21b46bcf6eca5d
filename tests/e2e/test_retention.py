"""What is kept too long or too many of goes; and whoever stood before it is told."""

import asyncio
import time

import httpx

from tests.e2e.conftest import StartServer
from tests.support.clients import connect, frame, objects, publish

LISTED = "/api/v2/notifications?user_id=ada&limit=100"


async def test_a_cursor_from_before_what_is_kept_is_told_of_a_gap(start_server: StartServer, postgres_url: str) -> None:
    env = {"DATABASE_URL": postgres_url, "HERALD_AUTH": "open", "HERALD_BROKER": "memory"}
    server = start_server(env, ("serve",))
    await publish(server, "risk-events", {"user_id": "ada", "n": 0})
    async with httpx.AsyncClient(base_url=server.url) as client:
        cursor = (await client.get(LISTED)).json()["meta"]["cursor"]
    await publish(server, "risk-events", *({"user_id": "ada", "n": n} for n in range(1, 20)))
    server.stop()

    server = start_server({**env, "HERALD_KEEP_INBOX_ENTRIES": "5"}, ("serve",))
    async with httpx.AsyncClient(base_url=server.url) as client:
        deadline = time.monotonic() + 20
        while len((listed := (await client.get(LISTED)).json())["data"]) > 5:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert [item["data"]["n"] for item in listed["data"]] == [19, 18, 17, 16, 15]
        assert listed["meta"]["unread_count"] == 5
        changes = (await client.get(f"/api/v2/notifications/changes?user_id=ada&since={cursor}")).json()
        assert changes["meta"]["gap"] is True
        metrics = (await client.get("/metrics", headers={"accept": "text/plain"})).text
        assert 'herald_pruned_total{kind="notification"} 15.0' in metrics
    address = f"{server.ws_url}/ws?user_id=ada&cursor={cursor}"
    async with connect(address, subprotocols=["herald.v1"]) as socket:
        hello = await frame(socket)
        assert (hello["resumed"], hello["gap"], hello["unread"]) == (False, ["inbox"], 5)
        assert [entry["data"]["n"] for entry in await objects(socket, 5)] == [15, 16, 17, 18, 19]
