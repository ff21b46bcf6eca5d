"""Two nodes on one database: with Redis entries arrive immediately, without it within seconds. Any client can use any
node."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.clients import closed, connect, frame, objects, publish, stream, until_http
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis
from tests.support.server import Server

# Seconds until clients of the other node receive an entry: through Redis, or by comparison with the database every 5 s
# per stream.
SOON: Final = 2.0
LATER: Final = 10.0

LIMITS: Final = {"HERALD_MAX_SESSIONS_PER_USER": "4", "HERALD_REST_RATE": "1"}


class Nodes:
    """The test acts on the node `here` and observes the node `there`. `patience` is the timeout in seconds between the
    two."""

    def __init__(self, postgres: Postgres, redis: RealRedis | None) -> None:
        self.patience = SOON if redis else LATER
        self._postgres, self._url = postgres, postgres.create()
        env = {"DATABASE_URL": self._url, "HERALD_AUTH": "open", "HERALD_BROKER": "memory"} | LIMITS
        if redis:
            env |= {"REDIS_URL": redis.url, "HERALD_REDIS_PREFIX": uuid.uuid4().hex}
        self.here, self.there = (Server(env | {"HERALD_NODE": name}, ("serve",)) for name in ("here", "there"))

    def __enter__(self) -> "Nodes":
        self.here.launch()
        self.there.launch()
        for server in (self.here, self.there):
            server.wait_for("/health/ready")
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.here, self.there):
            server.kill()
            print(server.log[-20_000:])
        self._postgres.drop(self._url)


@pytest.fixture(scope="module")
def joined(postgres: Postgres, real_redis: RealRedis) -> Iterator[Nodes]:
    """Nodes with Redis between them."""
    with Nodes(postgres, real_redis) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def separate(postgres: Postgres) -> Iterator[Nodes]:
    """Nodes that have only the database in common."""
    with Nodes(postgres, None) as nodes:
        yield nodes


@pytest.fixture(params=["joined", "separate"])
def nodes(request: pytest.FixtureRequest) -> Nodes:
    found: Nodes = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def user() -> str:
    """A user that no other test has."""
    return f"ada-{uuid.uuid4().hex}"


async def told(socket: Any, seconds: float, *kinds: str) -> Any:
    """Return the next object of one of these kinds."""
    async with asyncio.timeout(seconds):
        while True:
            for line in str(await socket.recv()).split("\n"):
                if (found := json.loads(line))["kind"] in kinds:
                    return found


async def test_actions_on_one_node_are_visible_on_the_other(nodes: Nodes, user: str) -> None:
    address = f"{nodes.there.ws_url}/ws?user_id={user}"
    async with (
        connect(address, subprotocols=["herald.v1"]) as v1,
        connect(address) as plain,
        stream(nodes.there, f"?user_id={user}") as events,
        httpx.AsyncClient(base_url=nodes.here.url, timeout=10, params={"user_id": user}) as client,
    ):
        await v1.send('{"resume": {}}')
        await objects(v1, 1)
        await events.next()
        await publish(nodes.here, "risk-events", {"user_id": user, "n": 1})
        await publish(nodes.here, "regime-events", {"n": 2})
        pushed = [await told(v1, nodes.patience, "notification", "broadcast") for _ in range(2)]
        seen, broadcast = sorted(pushed, key=lambda entry: entry["data"]["n"])
        assert (seen["kind"], seen["data"]["n"], seen["seq"], seen["unread"]) == ("notification", 1, 1, 1)
        assert (broadcast["kind"], broadcast["data"]) == ("broadcast", {"n": 2})
        assert sorted([(await frame(plain, nodes.patience))["data"]["n"] for _ in range(2)]) == [1, 2]
        assert (await events.next(nodes.patience))[1]["data"]["n"] == 1

        answer = await client.put(f"/api/v2/notifications/{seen['id']}/read")
        assert answer.status_code == 200, answer.text
        # As a state change, or seconds later as the notification in its current state.
        marked = await told(v1, nodes.patience, "read", "notification")
        assert (marked["id"], marked["unread"], marked.get("read", True)) == (seen["id"], 0, True)

        await publish(nodes.here, "user_service.user.logout_account", {"user_id": user})
        assert await closed(v1, nodes.patience) == 4502
        assert await closed(plain, nodes.patience) == 4502
        with pytest.raises(StopAsyncIteration):
            await events.next(nodes.patience)


async def test_each_node_reports_its_name(nodes: Nodes) -> None:
    async with httpx.AsyncClient() as client:
        for server, name in ((nodes.here, "here"), (nodes.there, "there")):
            assert (await client.get(server.url + "/health")).json()["node"] == name
            assert (await client.get(server.url + "/metrics")).json()["node"] == name
            assert json.loads(server.log.splitlines()[-1])["node"] == name


async def test_a_cursor_of_one_node_is_valid_on_the_other_on_every_transport(nodes: Nodes, user: str) -> None:
    await publish(nodes.here, "risk-events", {"user_id": user, "n": 0})
    async with connect(f"{nodes.here.ws_url}/ws?user_id={user}", subprotocols=["herald.v1"]) as v1:
        await v1.send('{"resume": {}}')
        cursor = (await frame(v1))["cursor"]
    await publish(nodes.here, "risk-events", *[{"user_id": user, "n": n} for n in range(1, 50)])
    async with connect(f"{nodes.there.ws_url}/ws?user_id={user}&cursor={cursor}", subprotocols=["herald.v1"]) as v1:
        first, *entries = await objects(v1, 50)
        assert (first["resumed"], first["gap"]) == (True, [])
        assert [entry["data"]["n"] for entry in entries] == list(range(1, 50))
    async with stream(nodes.there, f"?user_id={user}&cursor={cursor}") as events:
        assert "gap" not in (await events.next())[1]
        assert [(await events.next())[1]["data"]["n"] for _ in range(49)] == list(range(1, 50))
    async with httpx.AsyncClient(base_url=nodes.there.url) as client:
        answer = await client.get("/api/v2/notifications/changes", params={"user_id": user, "since": cursor})
    assert [item["data"]["n"] for item in answer.json()["data"]] == list(range(1, 50))


async def test_limits_per_user_apply_across_nodes(joined: Nodes, user: str) -> None:
    here, there = joined.here, joined.there
    sockets = [await connect(f"{server.ws_url}/ws?user_id={user}") for server in (here, there, here, there)]
    for server in (here, there):
        assert await closed(await connect(f"{server.ws_url}/ws?user_id={user}")) == 1013
    async with httpx.AsyncClient() as client:
        refused = await client.get(f"{here.url}/events/stream?user_id={user}")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_sessions_elsewhere")
        assert refused.headers["retry-after"]
        # The burst is the number of requests of 10 s.
        answers = [
            (await client.get(f"{server.url}/api/v2/notifications?user_id={user}")).status_code
            for server in (here, there) * 10
        ]
        assert 10 <= answers.count(200) < 15
        assert answers.count(200) + answers.count(429) == 20
    # Sessions on a dead node no longer count.
    there.kill()
    try:
        async with asyncio.timeout(10):
            while not await stays(f"{here.ws_url}/ws?user_id={user}"):
                await asyncio.sleep(0.2)
    finally:
        await asyncio.to_thread(there.start, True)
    for socket in sockets:
        await socket.close()


async def stays(address: str) -> bool:
    async with connect(address) as socket:
        try:
            await asyncio.wait_for(socket.recv(), 0.3)
        except TimeoutError:
            return True
        except ConnectionClosed:
            return False
    return True


async def test_without_redis_entries_are_seconds_late_and_nothing_is_lost(
    joined: Nodes, user: str, real_redis: RealRedis
) -> None:
    async with connect(f"{joined.there.ws_url}/ws?user_id={user}") as plain:
        numbers = iter(range(1_000))

        async def hop(seconds: float) -> float:
            """Publish an event on one node and receive it on the other. Returns the delay in seconds."""
            number, began = next(numbers), time.monotonic()
            await publish(joined.here, "risk-events", {"user_id": user, "n": number})
            assert (await frame(plain, seconds))["data"]["n"] == number
            return time.monotonic() - began

        await hop(SOON)
        for away in (killed, frozen):
            await away(real_redis, lambda: outage(joined, hop))
            for server in (joined.here, joined.there):
                await until_http(server, "/health", lambda body: body["status"] == "healthy", 15)
            await hop(SOON)


async def outage(nodes: Nodes, hop: Callable[[float], Awaitable[float]]) -> None:
    await hop(LATER)
    for server in (nodes.here, nodes.there):
        health = await until_http(server, "/health", lambda body: body["status"] == "degraded", 10)
        assert health["checks"]["backplane"]["ok"] is False
        assert "seconds late" in health["checks"]["backplane"]["detail"]
        async with httpx.AsyncClient() as client:
            assert (await client.get(server.url + "/health/ready")).status_code == 200
    # By now both compare all their streams with the database every second or two.
    assert await hop(LATER) < 4


async def killed(redis: RealRedis, meanwhile: Callable[[], Awaitable[None]]) -> None:
    await asyncio.to_thread(redis.kill9)
    try:
        await meanwhile()
    finally:
        await asyncio.to_thread(redis.start)


async def frozen(redis: RealRedis, meanwhile: Callable[[], Awaitable[None]]) -> None:
    with redis.frozen():
        await meanwhile()


async def test_a_node_receives_no_messages_for_streams_without_sessions(joined: Nodes, user: str) -> None:
    before = await received(joined.there)
    async with connect(f"{joined.here.ws_url}/ws?user_id={user}") as plain:
        await publish(joined.here, "risk-events", *[{"user_id": f"{user}-{n}", "n": n} for n in range(50)])
        await publish(joined.here, "risk-events", {"user_id": user, "n": 50})
        assert (await frame(plain))["data"]["n"] == 50
    assert await received(joined.there) == before


async def received(server: Server) -> list[str]:
    """Return the metrics of messages received from other nodes."""
    async with httpx.AsyncClient(headers={"accept": "text/plain"}) as client:
        text = (await client.get(server.url + "/metrics")).text
    found = [line for line in text.splitlines() if line.startswith("herald_backplane_messages_total")]
    return [line for line in found if 'direction="received"' in line]
