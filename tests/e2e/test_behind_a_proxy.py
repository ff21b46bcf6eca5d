"""Two nodes behind the shipped proxy configuration deploy/nginx.conf, in a real nginx."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from adapters.http.errors.problem_catalogue import KINDS
from tests.nginx_fixtures import StartNginx
from tests.support.clients import Stream, connect, frame, objects, publish, stream
from tests.support.nginx import Nginx
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis
from tests.support.server import Server
from tests.support.service import free_port

TOKEN = "eyJhbGciOiJIUzI1NiJ9.a-token-that-no-log-may-have"

PATIENCE = 20.0


class Pair:
    """Two nodes behind one proxy."""

    def __init__(self, url: str, **settings: str) -> None:
        env = {"DATABASE_URL": url, "HERALD_AUTH": "open", "HERALD_BROKER": "memory", "HERALD_HEARTBEAT_SECONDS": "1"}
        self.nodes = [Server({**env, "HERALD_NODE": name, **settings}, ("serve",)) for name in ("one", "two")]
        self.ports = [node.port for node in self.nodes]
        self.socket_ports = [node.socket_port for node in self.nodes]

    def start(self) -> None:
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_for("/health/ready")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
            print(node.log[-10_000:])

    async def connections(self) -> list[int]:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return [(await client.get(node.url + "/health")).json()["connections"] for node in self.nodes]


@pytest.fixture(scope="module")
def pair(postgres: Postgres, real_redis: RealRedis) -> Iterator[Pair]:
    """Two nodes on one database and one Redis, for tests that leave both running."""
    url = postgres.create()
    pair = Pair(url, REDIS_URL=real_redis.url, HERALD_REDIS_PREFIX="behind-a-proxy")
    try:
        pair.start()
        yield pair
    finally:
        pair.kill()
        postgres.drop(url)


@pytest.fixture
def own_pair() -> Iterator[Pair]:
    """Two nodes for tests that stop one. They need no connection to each other."""
    pair = Pair("memory:", HERALD_DRAIN_SECONDS="30")
    try:
        pair.start()
        yield pair
    finally:
        pair.kill()


def problem(answer: Any) -> tuple[int, str, str | None]:
    """Return status, code and Retry-After of a response. Asserts that it is a problem document of Herald."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = json.loads(answer.content if isinstance(answer, httpx.Response) else answer.body)
    kind = KINDS[body["code"]]
    assert (body["type"], body["status"]) == (f"/problems/{kind.code}", answer.status_code)
    assert (body["title"], body["status"]) == (kind.title, kind.status)
    return answer.status_code, body["code"], answer.headers.get("retry-after")


async def test_every_kind_of_client_is_served_without_sticky_sessions(pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(pair.ports, sockets=pair.socket_ports)
    async with AsyncExitStack() as stack:
        v1 = await stack.enter_async_context(connect(proxy.ws_url + "/ws?user_id=ada", subprotocols=["herald.v1"]))
        await v1.send('{"resume": {}}')
        assert (await frame(v1))["kind"] == "hello"
        plain = await stack.enter_async_context(connect(proxy.ws_url + "/ws/notifications"))
        groups = "/ws/v2/notification-service/notifications/users/ada"
        user = await stack.enter_async_context(connect(proxy.ws_url + groups))
        events = await stack.enter_async_context(stream(proxy))
        assert (await events.next())[1]["type"] == "connection"
        # Sockets and other requests are each sent to the nodes in turn.
        assert sorted(await pair.connections()) in ([1, 3], [2, 2])

        await publish(proxy, "trading_signals", {"symbol": "ACME"})
        await publish(proxy, "product-events", {"id": "p1", "type": "ProductCreated"})
        await publish(proxy, "user_service.group.add_users", {"event_type": "group_user_added", "receivers": ["ada"]})
        # Each event arrives while its stream is open, whichever node it was published at.
        assert (await frame(plain, PATIENCE))["symbol"] == "ACME"
        assert (await frame(user, PATIENCE))["event_type"] == "group_user_added"
        assert await event(events, "ProductCreated")
        seen: set[str] = set()
        while "notification" not in seen:
            seen |= {one["kind"] for one in await objects(v1, 1, PATIENCE)}

        async with httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client:
            inbox = await client.get("/api/v2/notifications", params={"user_id": "ada"})
            assert len(inbox.json()["data"]) == 1
            page = await client.get("/", headers={"accept": "text/html"})
            assert page.headers["content-type"].startswith("text/html")


async def event(events: Stream, wanted: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while (found := (await events.next(PATIENCE))[1])["type"] != wanted:
            pass
    return found


async def test_pages_can_read_the_error_responses_of_the_proxy(start_nginx: StartNginx) -> None:
    # No node is available.
    proxy = start_nginx([free_port(), free_port()], {"rate=200r/s": "rate=1r/s", "burst=2000": "burst=9"})
    origin = "https://shop.example"
    async with httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client:
        client.headers["origin"] = origin
        for request, status in (
            (client.get("/metrics"), 404),
            (client.get("/health/live"), 503),
            (client.post("/api/v1/events", content=b" " * (8 * 1024 * 1024 + 1)), 413),
            (client.get("/" + "a" * 10_000), 414),
            (client.get("/", headers={"x-a": "a" * 10_000}), 431),
        ):
            readable(await request, status, origin)
        while (answer := await client.get("/health/live")).status_code != 429:
            pass
        readable(answer, 429, origin)
        del client.headers["origin"]
        plain = await client.get("/metrics")
        assert not [name for name in plain.headers if name.startswith("access-control-allow")]


def readable(answer: httpx.Response, status: int, origin: str) -> None:
    assert problem(answer)[0] == status
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    if status in (414, 431):
        # nginx answers before it has read the Origin.
        assert answer.headers["access-control-allow-origin"] == "*"
        return
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"


async def test_heartbeats_keep_a_quiet_stream_open_and_plain_sockets_need_none(
    pair: Pair, start_nginx: StartNginx
) -> None:
    # Three heartbeats, as shipped.
    proxy = start_nginx(pair.ports, {"90s": "3s"}, pair.socket_ports)
    # Pings of a client would keep its socket open too.
    async with (
        connect(proxy.ws_url + "/ws/notifications", ping_interval=None) as plain,
        stream(proxy) as events,
    ):
        for _ in range(4):
            await event(events, "heartbeat")
        await publish(proxy, "trading_signals", {"quiet": True})
        await publish(proxy, "product-events", {"id": "q1", "type": "Quiet"})
        assert await frame(plain, PATIENCE) == {"quiet": True}
        assert await event(events, "Quiet")


COMPRESSING = "gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 1;"


@pytest.mark.parametrize("location", ["shipped", "with nothing but Herald's own headers"])
async def test_events_are_not_delayed_by_a_proxy_that_compresses(
    pair: Pair, start_nginx: StartNginx, location: str
) -> None:
    but = {"server_tokens off;": f"server_tokens off; {COMPRESSING}"}
    if location != "shipped":
        but |= {"proxy_buffering off;": "", "gzip off;": ""}
    proxy = start_nginx(pair.ports, but, pair.socket_ports)
    async with stream(proxy, **{"accept-encoding": "gzip"}) as events:
        assert events.response.headers["cache-control"] == "no-store, no-transform"
        # nginx compresses whatever Cache-Control says, and flushes responses that must not be buffered.
        encoding = events.response.headers.get("content-encoding")
        assert encoding == (None if location == "shipped" else "gzip")
        assert (await events.next())[1]["type"] == "connection"
        for number in range(3):
            one = f"{location} {number}"
            await publish(proxy, "product-events", {"id": one, "type": "Compressed"})
            assert (await event(events, "Compressed"))["id"] == one


async def test_the_socket_limit_per_address_is_below_the_connection_limit(pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(pair.ports, {"sockets 500": "sockets 2"}, pair.socket_ports)
    async with connect(proxy.ws_url + "/ws/notifications"), connect(proxy.ws_url + "/ws/notifications"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(proxy.ws_url + "/ws/notifications")
        assert problem(refused.value.response) == (429, "too_many_requests", "1")
        async with stream(proxy) as events:
            assert (await events.next())[1]["type"] == "connection"


async def test_a_killed_node_is_skipped_immediately(own_pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(own_pair.ports)
    sockets = [await connect(proxy.ws_url + "/ws/notifications") for _ in range(4)]
    assert await own_pair.connections() == [2, 2]
    own_pair.nodes[0].kill()
    ends = [asyncio.create_task(socket.wait_closed()) for socket in sockets]
    async with asyncio.timeout(PATIENCE):
        while sum(end.done() for end in ends) < 2:
            await asyncio.sleep(0.05)
    for number in range(6):
        async with connect(f"{proxy.ws_url}/ws/notifications?jwt={TOKEN}"), stream(proxy) as events:
            await events.next()
        await publish(proxy, "trading_signals", {"number": number})
    living = [socket for socket in sockets if socket.close_code is None]
    assert len(living) == 2
    for socket in living:
        assert [(await frame(socket))["number"] for _ in range(6)] == list(range(6))

    own_pair.nodes[1].kill()
    async with httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client:
        for answer in (
            await client.get(f"/api/v2/notifications?user_id=ada&jwt={TOKEN}"),
            await client.post("/api/v1/events", json={}),
            await client.get("/events/stream"),
        ):
            assert problem(answer) == (503, "unavailable", "2")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{proxy.ws_url}/ws?jwt={TOKEN}")
    assert problem(refused.value.response) == (503, "unavailable", "2")
    # Neither in the access log nor in the error log of nginx.
    assert '"upstream_status":"502' in proxy.log
    assert TOKEN not in proxy.log + proxy.words


async def test_new_clients_go_to_the_other_node_while_one_drains(own_pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(own_pair.ports)
    one, two = own_pair.nodes
    await leaving(one)
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(3):
            await stack.enter_async_context(connect(proxy.ws_url + "/ws/notifications"))
            streams.append(await stack.enter_async_context(stream(proxy)))
            await streams[-1].next()
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            assert (await client.get(two.url + "/health")).json()["connections"] == 6
            assert (await client.get(one.url + "/health/ready")).status_code == 503

    # If no node accepts clients, the response is Herald's problem document.
    await leaving(two)
    proxy = start_nginx([two.port, two.port])
    async with httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client:
        assert problem(await client.get("/events/stream")) == (503, "draining", "2")
    with pytest.raises(InvalidStatus) as refused:
        await connect(proxy.ws_url + "/ws/notifications")
    assert problem(refused.value.response) == (503, "draining", "2")


async def leaving(node: Server) -> None:
    """Start draining a node. Returns once it is unready. Draining takes 5 s, since 100 clients are closed one by
    one."""
    await asyncio.gather(*(connect(node.ws_url + "/ws/notifications") for _ in range(100)))
    node.process.terminate()
    await asyncio.to_thread(node.wait_for, "/health/ready", 503)


async def test_the_rate_limit_per_address_affects_no_other_address(pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(
        pair.ports, {"rate=200r/s": "rate=1r/m", "burst=2000": "burst=3", "connections 2000": "connections 2"}
    )
    async with client_from("127.0.0.1", proxy) as greedy, client_from("127.0.0.2", proxy) as modest:
        for number in range(4):
            assert (await greedy.get("/problems")).status_code == 200, number
        # The address is that of the connection; forwarding headers sent by the client are ignored.
        for claimed in ("127.0.0.2", "203.0.113.9"):
            refused = await greedy.get(
                f"/problems?jwt={TOKEN}", headers={"x-forwarded-for": claimed, "x-real-ip": claimed}
            )
            assert problem(refused) == (429, "too_many_requests", "1")
        with pytest.raises(InvalidStatus) as closed:
            await connect(proxy.ws_url + "/ws/notifications")
        assert problem(closed.value.response) == (429, "too_many_requests", "1")

        async with modest.stream("GET", "/events/stream"), modest.stream("GET", "/events/stream"):
            # The number of concurrent connections is limited too.
            assert problem(await modest.get("/problems")) == (429, "too_many_requests", "1")
        assert (await modest.get("/problems")).status_code in (200, 429)
    assert TOKEN not in proxy.log + proxy.words


def client_from(address: str, proxy: Nginx) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE, transport=transport)


async def test_a_body_over_the_limit_gets_heralds_problem_document(pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(pair.ports, sockets=pair.socket_ports)
    limit = 8 * 1024 * 1024

    async def in_chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (limit // 8)

    async with httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client:
        for body in (b" " * (limit + 1), in_chunks()):
            refused = await client.post("/api/v1/events", content=body, headers={"content-type": "application/json"})
            assert problem(refused) == (413, "too_large", None)
        # The proxy accepts everything up to Herald's limit: this response is from Herald.
        event = json.dumps({"source": "trading_signals", "payload": "x"})
        whole = await client.post("/api/v1/events", content=event + " " * (limit - len(event)))
        assert whole.status_code == 202, whole.text


async def test_operator_endpoints_are_not_exposed(pair: Pair, start_nginx: StartNginx) -> None:
    proxy = start_nginx(pair.ports, sockets=pair.socket_ports)
    async with httpx.AsyncClient(base_url=proxy.url, timeout=PATIENCE) as client:
        assert (await client.get("/health/live")).json() == {"status": "alive"}
        for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/health", "/health/ready"):
            answer = await raw(proxy, f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert answer.startswith("HTTP/1.1 404 "), answer
            assert '"code":"not_found"' in answer


async def raw(proxy: Nginx, request: str) -> str:
    """Send a request that no client library would send. Returns the whole response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(request.encode())
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_the_probe_of_the_image_detects_whether_herald_is_alive(pair: Pair) -> None:
    async def probe(port: int, *path: str) -> int:
        program = Path(__file__).parents[2] / "deploy" / "probe.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable, program, *path, env={"PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
        )
        return await asyncio.wait_for(process.wait(), PATIENCE)

    assert await probe(pair.ports[0]) == 0
    assert await probe(pair.ports[0], "/health/ready") == 0
    assert await probe(pair.ports[0], "/nowhere") == 1
    assert await probe(free_port()) == 1


async def test_headers_that_a_node_receives_from_the_proxy(start_nginx: StartNginx) -> None:
    heads: list[dict[str, str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        heads.append({name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])})
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as echo:
        port = echo.sockets[0].getsockname()[1]
        proxy = start_nginx([port, port])
        claims = {
            "x-forwarded-for": "203.0.113.9",
            "x-forwarded-proto": "https",
            "upgrade": "h2c",
            "x-request-id": "kim-7",
        }
        async with client_from("127.0.0.3", proxy) as client:
            await client.get(
                f"/api/v1/mails?jwt={TOKEN}", headers={**claims, "connection": "Upgrade", "host": "shop.example"}
            )
            await client.get("/", headers={"x-request-id": 'two words, "quoted"'})
            await client.get("/", headers={"x-request-id": "x" * 129, "referer": f"http://h/?token={TOKEN}"})
    told, *others = heads
    assert told["x-forwarded-for"] == "127.0.0.3"
    assert told["x-forwarded-proto"] == "http"
    assert told["host"] == told["x-forwarded-host"] == "shop.example"
    assert told["x-request-id"] == "kim-7"
    # No upgrade to a protocol within which the proxy would not see further requests.
    assert "upgrade" not in told
    assert told["connection"] == "close"
    for other in others:
        assert re.fullmatch("[0-9a-f]{32}", other["x-request-id"])
    lines = [json.loads(line) for line in proxy.log.splitlines()]
    assert [line["request_id"] for line in lines] == [head["x-request-id"] for head in heads]
    assert (lines[0]["client"], lines[0]["path"]) == ("127.0.0.3", "/api/v1/mails")
    assert TOKEN not in proxy.log + proxy.words
