"""Pages of other origins: what they may send and read, and what is refused before any handler runs."""

from typing import Any, Final

import httpx
import pytest
from structlog.testing import capture_logs

from adapters.web.origins_and_hosts import Origins, origin_of, same_host
from entrypoints.file_descriptors import BACKLOG, share_out
from entrypoints.server import _warn
from entrypoints.settings.loader import load
from entrypoints.wiring.web_access import allowed_origins
from tests.e2e.conftest import StartServer
from tests.support.app import IN_MEMORY, in_process
from tests.support.clients import stream, token
from tests.support.server import SECRET, Server

EVENT: Final = {"source": "trading_signals", "payload": 1}
EVIL: Final = "https://evil.test"
LISTED: Final = {"HERALD_AUTH": "open", "HERALD_ORIGINS": "https://shop.example"}


def refused(answer: httpx.Response) -> bool:
    if answer.status_code != 403:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "origin_refused"
    assert answer.headers["x-request-id"]
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-origin" not in answer.headers
    return True


@pytest.mark.parametrize("origin", [EVIL, "null", "", "http://localhost.evil.test", "http://127.0.0.1:8000.evil.test"])
async def test_a_page_of_another_origin_cannot_publish_to_dev(origin: str) -> None:
    async with in_process() as client:
        # Like a form, whose request has no preflight.
        form = {"origin": origin, "content-type": "application/x-www-form-urlencoded"}
        assert refused(await client.post("/api/v1/events", json=EVENT, headers=form))
        assert (await client.get("/metrics")).json()["events"]["in"] == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v2/preferences?user_id=ada"),
        ("PATCH", "/api/v2/preferences?user_id=ada"),
        ("PUT", "/api/v2/notifications/mark-all-read?user_id=ada"),
        ("DELETE", "/api/v2/notifications/clear-all?user_id=ada"),
        ("POST", "/api/v1/dead-letters/replay"),
        ("POST", "/nowhere"),
        ("TRACE", "/"),
        ("BREW", "/"),
    ],
)
async def test_unsafe_methods_of_other_origins_reach_no_handler(method: str, path: str) -> None:
    async with in_process("serve", **LISTED) as client:
        assert refused(await client.request(method, path, headers={"origin": EVIL}))
        assert not refused(await client.request(method, path, headers={"origin": "https://shop.example"}))
        assert not refused(await client.request(method, path))


async def test_origin_checks_apply_with_tokens_too() -> None:
    tokens = {"HERALD_JWT_SECRET": SECRET, "HERALD_ORIGINS": "https://shop.example"}
    async with in_process("serve", **tokens) as client:
        bearer = {"authorization": f"Bearer {token('ada', scope='events:publish')}"}
        assert refused(await client.post("/api/v1/events", json=EVENT, headers={**bearer, "origin": EVIL}))
        answer = await client.post("/api/v1/events", json=EVENT, headers={**bearer, "origin": "https://shop.example"})
        assert answer.status_code == 202
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("herald.internal:8080", "http://herald.internal:8080"),
        ("Herald.Internal.", "https://herald.internal"),
        ("herald.internal", "http://herald.internal:80"),
        ("[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
    ],
)
async def test_the_own_origin_is_allowed(host: str, origin: str) -> None:
    async with in_process("serve", **LISTED) as client:
        answer = await client.post("/api/v1/events", json=EVENT, headers={"origin": origin, "host": host})
        assert answer.status_code == 202


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("herald.internal:8080", "http://herald.internal:8081"),
        ("herald.internal", "http://herald.internal:443"),
        ("herald.internal", "herald.internal"),
        ("herald.internal", "https://herald.internal@evil.test"),
        ("herald.internal", "https://evil.test/herald.internal"),
        ("null", "null"),
        ("", "https://"),
    ],
)
def test_a_host_similar_to_the_own_host_is_another_origin(host: str, origin: str) -> None:
    assert not same_host(origin, host)
    assert not same_host(origin, None)


async def test_of_several_origin_headers_all_must_be_allowed() -> None:
    async with in_process("serve", **LISTED) as client:
        both = [("origin", "https://shop.example"), ("origin", EVIL)]
        assert refused(await client.post("/api/v1/events", json=EVENT, headers=httpx.Headers(both)))


async def test_the_origin_of_the_public_url_is_allowed() -> None:
    async with in_process("serve", **LISTED, HERALD_PUBLIC_URL="https://Gate.example:443/herald") as client:
        answer = await client.post("/api/v1/events", json=EVENT, headers={"origin": "https://gate.example"})
        assert answer.status_code == 202
        assert refused(await client.post("/api/v1/events", json=EVENT, headers={"origin": "http://gate.example"}))
    assert origin_of("http://[::1]:8000/x") == "http://[::1]:8000"


async def test_a_star_allows_every_origin_and_open_mode_warns() -> None:
    async with in_process("serve", HERALD_AUTH="open") as client:
        for origin in (EVIL, "null"):
            answer = await client.post("/api/v1/events", json=EVENT, headers={"origin": origin})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, "*")
    for environ, warned in (({"HERALD_AUTH": "open"}, True), (LISTED, False), ({"HERALD_JWT_SECRET": SECRET}, False)):
        with capture_logs() as lines:
            settings = load({**IN_MEMORY, **environ}, "serve", {})
            _warn(settings, share_out(10_000, settings, BACKLOG))
        assert ("origins_unrestricted" in [line["event"] for line in lines]) is warned


async def test_requests_without_an_origin_are_accepted() -> None:
    async with in_process() as client:
        # Like `curl -d`.
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (await client.post("/api/v1/events", json=EVENT, headers=form)).status_code == 202


async def test_safe_methods_are_answered_without_cors_headers() -> None:
    async with in_process() as client:
        answer = await client.get("/api/v2/notifications?user_id=ada", headers={"origin": EVIL})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]


async def test_an_event_stream_ignores_the_cookie_for_pages_of_other_origins(start_server: StartServer) -> None:
    server = start_server(
        {
            "DATABASE_URL": "memory:",
            "HERALD_BROKER": "memory",
            "HERALD_JWT_SECRET": SECRET,
            "HERALD_ORIGINS": "https://shop.example",
        },
        ("serve",),
    )
    cookie = f"herald_token={token('ada')}"
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        for path in ("/events/stream", "/api/v2/notifications"):
            assert refused(await client.get(path, headers={"origin": EVIL, "cookie": f"a=b; {cookie}"}))
    assert await sessions(server) == {}
    for page in ({"origin": "https://shop.example"}, {"origin": server.url}, {}):
        async with stream(server, cookie=cookie, **page) as events:
            assert (await events.next())[1]["type"] == "connection"
    async with stream(server, origin=EVIL) as events:
        # As an anonymous session, which a page of another origin may not read.
        assert "access-control-allow-origin" not in events.response.headers


async def sessions(server: Server) -> Any:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        return (await client.get("/metrics")).json()["sessions"]["opened"]


def test_allowed_origins_come_from_the_settings() -> None:
    settings = load({**IN_MEMORY, "HERALD_PUBLIC_URL": "https://a.example/x"}, "dev", {})
    assert allowed_origins(settings) == Origins(("loopback",), "https://a.example")
