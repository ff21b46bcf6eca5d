"""What HTTP responses have in common: HEAD, CORS, caching and size limits."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from litestar.testing import AsyncTestClient

from adapters.http.middleware.url_and_header_limits import MAX_HEADER_BYTES
from adapters.web.request_limits import MAX_TARGET_BYTES
from tests.support.app import in_process
from tests.support.clients import token
from tests.support.server import SECRET

INBOX = "/api/v2/notifications?user_id=ada"
OWN = {"origin": "http://localhost:3000"}
EVIL = {"origin": "https://evil.test"}


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[AsyncTestClient[Any]]:
    async with in_process(HERALD_REST_RATE="0") as client:
        yield client


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/problems",
        "/schema",
        "/schema/openapi.json",
        "/schema/asyncapi.json",
        "/schema/swagger-ui.css",
        INBOX,
        "/api/v2/notifications/unread-count?user_id=ada",
        "/api/v2/preferences?user_id=ada",
        "/api/v1/notifications",
        "/api/v1/dead-letters",
        "/nowhere",
        "/api/v2/notifications",
    ],
)
async def test_head_answers_like_get_without_a_body(client: AsyncTestClient[Any], path: str) -> None:
    changing = {"content-length", "x-request-id", "date", "link"}
    got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert {name: value for name, value in head.headers.items() if name not in changing} == {
        name: value for name, value in got.headers.items() if name not in changing
    }
    assert "content-length" in head.headers


async def test_head_of_event_streams_and_post_only_paths_is_405() -> None:
    async with in_process() as client:
        for path, allowed in (("/events/stream", "GET"), ("/events/stream/", "GET"), ("/api/v1/events", "POST")):
            answer = await client.head(path)
            assert (answer.status_code, answer.content) == (405, b"")
            assert allowed in answer.headers["allow"]
        document = (await client.get("/schema/openapi.json")).json()
    assert not [path for path, operations in document["paths"].items() if "head" in operations]


async def test_cors_exposes_the_headers_that_pages_need() -> None:
    async with in_process() as client:
        answer = await client.get(INBOX, headers=OWN)
        assert answer.headers["access-control-allow-origin"] == OWN["origin"]
        assert answer.headers["access-control-expose-headers"] == "Link, Retry-After, X-Request-ID"
        unknown = await client.get("/nowhere", headers=OWN)
        assert unknown.headers["access-control-allow-origin"] == OWN["origin"]
        assert unknown.headers["x-request-id"]


async def test_cors_preflight_requests() -> None:
    asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization,x-a"}
    async with in_process() as client:
        answer = await client.options("/api/v2/preferences", headers={**OWN, **asked})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == OWN["origin"]
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
        refused = await client.options("/api/v2/preferences", headers={**EVIL, **asked})
        assert problem(refused) == (403, "origin_refused")
        assert "access-control-allow-origin" not in refused.headers
        assert "Origin" in refused.headers["vary"]


async def test_personal_responses_are_not_cached() -> None:
    async with in_process() as client:
        for path in (INBOX, "/api/v2/preferences?user_id=ada", "/api/v1/dead-letters", "/api/v2/notifications"):
            assert (await client.get(path)).headers["cache-control"] == "private, no-store"
        assert (await client.get("/schema/swagger-ui.css")).headers["cache-control"] == "public, max-age=86400"
        assert "cache-control" not in (await client.get("/health/live")).headers


async def test_every_response_forbids_framing_and_content_sniffing() -> None:
    async with in_process() as client:
        for path in ("/", "/schema", "/problems", INBOX, "/nowhere", "/health/live"):
            for headers in ({"accept": "text/html"}, EVIL, {"host": "attacker.example"}):
                answer = await client.get(path, headers=headers)
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
                assert answer.headers["x-content-type-options"] == "nosniff"
        page = await client.get("/", headers={"accept": "text/html"})
        assert page.headers["content-security-policy"].startswith("img-src")


async def test_request_targets_and_headers_have_a_size_limit() -> None:
    async with in_process() as client:
        long = await client.get(f"/health/live?{'a' * MAX_TARGET_BYTES}", headers=OWN)
        assert problem(long) == (414, "address_too_long")
        assert long.headers["access-control-allow-origin"] == OWN["origin"]
        large = await client.get("/health/live", headers={"x-a": "a" * MAX_HEADER_BYTES})
        assert problem(large) == (431, "headers_too_large")
        assert (await client.get("/health/live", headers={"cookie": "a" * 8_000})).status_code == 200


async def test_the_link_header_stays_below_4_kb() -> None:
    tokens = {"HERALD_JWT_SECRET": SECRET, "HERALD_MAX_EVENT_BYTES": "1048576"}
    async with in_process("serve", **tokens) as client:
        headers = {"authorization": f"Bearer {token('ada', scope='events:publish')}"}
        event = {"source": "risk-events", "payload": {"user_id": "ada", "severity": "high"}}
        assert (await client.post("/api/v1/events", json=[event] * 3, headers=headers)).status_code == 202
        path = "/api/v2/notifications?size=1&page=2"
        short = (await client.get(path, headers=headers)).headers["link"]
        assert [one in short for one in ('rel="first"', 'rel="prev"', 'rel="next"')] == [True] * 3
        for length in (100, 500, 2_000, 6_000):
            answer = await client.get(f"{path}&type={'é' * (length // 6)}", headers=headers)
            assert answer.status_code == 200
            assert len(answer.headers.get("link", "")) < 4096
