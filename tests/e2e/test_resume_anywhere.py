"""Clients reconnect again and again to either of two nodes, at random moments and under load, while their
notifications are read and archived elsewhere."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.accounting import changed, listed
from tests.support.clients import Stream
from tests.support.redis import RealRedis
from tests.support.server import Server

RECONNECTS: Final = 120

# The longest connection in seconds; many end before they receive anything.
LASTS: Final = 0.03

# Average pause in seconds between two rounds of the load.
BEAT: Final = 0.02

USER: Final = "ada"
WHOSE: Final[dict[str, Any]] = {"user_id": USER}

# Seconds until the last entry arrives from the other node.
PATIENCE: Final = 15.0


@pytest.fixture
def nodes(postgres_url: str, real_redis: RealRedis, redis_prefix: str, start_server: Callable[..., Server]) -> Any:
    env = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": real_redis.url,
        "HERALD_REDIS_PREFIX": redis_prefix,
        "HERALD_AUTH": "open",
        "HERALD_BROKER": "memory",
        "HERALD_REST_RATE": "0",
        "HERALD_PUBLISH_RATE": "0",
        "HERALD_CONNECT_RATE": "0",
        "LOG_LEVEL": "WARNING",
    }
    return [start_server(env, ("serve",)) for _ in range(2)]


class Speaking:
    """A herald.v1 client that keeps a list, as docs/protocol.md specifies."""

    def __init__(self) -> None:
        self.listed: dict[str, bool] = {}  # maps each id to whether it is read
        self.arrived: list[str] = []
        self.passed: set[str] = set()  # archived before they were received
        self.unread = 0
        self.place: dict[str, Any] = {}

    async def visit(self, node: Server, seconds: float) -> None:
        """Connect, receive for that many seconds, and abort the connection."""
        socket = await connect(f"{node.ws_url}/ws?user_id={USER}", subprotocols=["herald.v1"], compression=None)
        try:
            await socket.send(json.dumps({"resume": self.place}))
            async with asyncio.timeout(seconds):
                while True:
                    self._take([json.loads(line) for line in str(await socket.recv()).split("\n")])
        except TimeoutError:
            pass
        finally:
            socket.transport.abort()

    def _take(self, frame: list[Any]) -> None:
        entries = [(one["stream"], one.get("changed", one["seq"]), one["id"]) for one in frame if "stream" in one]
        assert len(entries) == len(set(entries))
        assert all(place > self.place["positions"][stream] for stream, place, _ in entries)
        for one in frame:
            match one["kind"]:
                case "hello":
                    assert one["gap"] == []
                    assert one["resumed"] is bool(self.place)
                    self.place = {"epoch": one["epoch"], "positions": one["positions"]}
                case "notification":
                    if one["id"] not in self.listed:
                        self.arrived.append(one["id"])
                    self.listed[one["id"]] = one["read"]
                case "read" | "unread":
                    assert one["id"] in self.listed
                    self.listed[one["id"]] = one["kind"] == "read"
                case "archived":
                    if self.listed.pop(one["id"], None) is None:
                        self.passed.add(one["id"])
                case kind:
                    assert kind == "heartbeat"
            self.unread = one.get("unread", self.unread)
        for stream, place, _ in entries:
            self.place["positions"][stream] = place


class Plain:
    """A plain event stream that resumes like a browser."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.numbers: list[int] = []
        self.last_id = ""
        self._http = http

    async def visit(self, node: Server, seconds: float) -> None:
        headers = {"last-event-id": self.last_id} if self.last_id else {}
        async with self._http.stream("GET", f"{node.url}/events/stream?user_id={USER}", headers=headers) as response:
            assert response.status_code == 200
            events = Stream(response)
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        self.last_id, shown = await events.next()
                        assert "gap" not in shown
                        if shown["type"] == "risk_alert":
                            self.numbers.append(shown["data"]["n"])
            except TimeoutError:
                pass


async def keep_coming_back(client: Speaking | Plain, nodes: list[Server], chance: random.Random) -> None:
    for _ in range(RECONNECTS):
        await client.visit(chance.choice(nodes), chance.uniform(0, LASTS))


class Happenings:
    """Publishes notifications at either node and changes their state at either, one by one and in bulk."""

    def __init__(self, nodes: list[Server], http: httpx.AsyncClient, chance: random.Random) -> None:
        self.published = 0
        self._nodes = nodes
        self._http = http
        self._chance = chance

    async def go_on(self, over: asyncio.Event) -> None:
        """Run until `over` is set. Finishes its current round, so that the result of every request is known."""
        while not over.is_set():
            await self._publish()
            await self._mark()
            await asyncio.sleep(self._chance.uniform(0, 2 * BEAT))

    async def _publish(self) -> None:
        events = []
        for _ in range(self._chance.randint(1, 4)):
            events.append({"source": "risk-events", "payload": {"user_id": USER, "n": self.published}})
            self.published += 1
        answer = await self._http.post(f"{self._somewhere}/api/v1/events", json=events)
        assert answer.status_code == 202, answer.text

    async def _mark(self) -> None:
        inbox = f"{self._somewhere}/api/v2/notifications"
        recent = (await self._http.get(inbox, params=WHOSE | {"limit": 20})).json()["data"]
        for item in self._chance.sample(recent, min(2, len(recent))):
            method, path = self._chance.choice([("PUT", "/read"), ("PUT", "/unread"), ("DELETE", "")])
            answer = await self._http.request(method, f"{inbox}/{item['id']}{path}", params=WHOSE)
            assert answer.status_code == 200, answer.text
        if self._chance.random() < 0.05:
            await self._http.put(f"{inbox}/mark-all-read", params=WHOSE)

    @property
    def _somewhere(self) -> str:
        return self._chance.choice(self._nodes).url


async def test_reconnects_at_random_moments_lose_and_repeat_nothing(nodes: list[Server]) -> None:
    chance = random.Random(6)
    async with httpx.AsyncClient(base_url=nodes[0].url, timeout=20) as http:
        speaking, plain, happenings = Speaking(), Plain(http), Happenings(nodes, http, chance)
        for client in (speaking, plain):
            await client.visit(nodes[0], 1)
        async with asyncio.TaskGroup() as tasks:
            over = asyncio.Event()
            tasks.create_task(happenings.go_on(over))
            await asyncio.gather(*(keep_coming_back(client, nodes, chance) for client in (speaking, plain)))
            over.set()
        everything = await changed(http, USER)
        items = await listed(http, USER)
        newest = max(item["changed"] for item in everything)
        async with asyncio.timeout(PATIENCE):
            while speaking.place["positions"]["inbox"] < newest or len(plain.numbers) < happenings.published:
                await asyncio.gather(*(client.visit(nodes[1], 0.5) for client in (speaking, plain)))
    assert happenings.published > 50
    assert plain.numbers == list(range(happenings.published))
    assert speaking.listed == {item["id"]: item["is_read"] for item in items}
    assert speaking.unread == sum(not item["is_read"] for item in items)
    assert len(speaking.arrived) == len(set(speaking.arrived))
    assert {*speaking.arrived, *speaking.passed} == {item["id"] for item in everything}
    assert not speaking.passed.intersection(speaking.arrived)
