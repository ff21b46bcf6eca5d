"""Errors over HTTP: each has a stable code and the address of its documentation, and exposes no internal data."""

import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from dishka import Provider, Scope
from litestar.testing import AsyncTestClient
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from adapters.http.errors.exception_handlers import problem
from adapters.http.errors.problem_catalogue import KINDS, address_of
from adapters.http.request_bodies import SMALL_BODY_BYTES
from application.inbox.browse_inbox import BrowseInbox
from domain.caller_errors import HeraldError, TooManyRequests
from entrypoints.app import create_app
from entrypoints.settings.loader import load

IN_MEMORY = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[AsyncTestClient[Any]]:
    """One application for all tests, without limits of rates."""
    settings = load({**IN_MEMORY, "HERALD_REST_RATE": "0"}, "dev", {})
    async with AsyncTestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def _all(error: type[HeraldError]) -> Iterator[type[HeraldError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _all(kind)


async def test_every_domain_error_is_in_the_catalogue() -> None:
    assert {error.code for error in _all(HeraldError)} <= KINDS.keys()


@pytest.mark.parametrize("code", KINDS)
async def test_every_problem_type_is_a_page_and_a_json_document(client: AsyncTestClient[Any], code: str) -> None:
    described = (await client.get(address_of(code))).json()
    assert (described["code"], described["type"]) == (code, address_of(code))
    page = await client.get(address_of(code), headers={"accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert KINDS[code].title in page.text
    assert page.headers["vary"] == "accept,Origin"


async def test_all_problems_are_listed(client: AsyncTestClient[Any]) -> None:
    assert [one["code"] for one in (await client.get("/problems")).json()] == list(KINDS)
    page = (await client.get("/problems", headers={"accept": "text/html"})).text
    assert all(f'href="{address_of(code)}"' in page for code in KINDS)
    assert (await client.get("/problems/none-such")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code", "field"),
    [
        ("GET", "/nowhere", {}, 404, "not_found", None),
        ("DELETE", "/api/v1/events", {}, 405, "method_not_allowed", None),
        ("GET", "/api/v2/notifications", {}, 401, "token_missing", None),
        ("GET", "/api/v2/notifications?user_id=ada&limit=x", {}, 400, "invalid_request", "limit"),
        ("GET", "/api/v2/notifications?user_id=ada&is_raed=true", {}, 400, "unknown_parameter", "is_raed"),
        ("POST", "/api/v1/events?user_id=ada", {"json": {}}, 400, "unknown_parameter", "user_id"),
        ("PUT", "/api/v2/preferences?user_id=ada", {"content": "{"}, 400, "invalid_request", None),
        ("PUT", "/api/v2/preferences?user_id=ada", {"json": {"x": 1}}, 400, "invalid_request", "body"),
        ("PUT", "/api/v2/preferences?user_id=ada", {"data": {"x": 1}}, 415, "unsupported_media_type", None),
        ("POST", "/api/v1/events", {"json": {"source": 5}}, 422, "invalid_input", "source"),
    ],
)
async def test_refused_requests_are_problem_documents(
    client: AsyncTestClient[Any], method: str, path: str, more: Any, status: int, code: str, field: str | None
) -> None:
    answer = await client.request(method, path, **more)
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"/problems/{code}"
    assert body["title"] == KINDS[code].title
    named = body.get("field") or next((one["field"] for one in body.get("errors", [])), None)
    assert named == field
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("allow" in answer.headers) == (status == 405)


async def test_an_error_does_not_repeat_a_token(client: AsyncTestClient[Any]) -> None:
    answer = await client.get("/api/v2/notifications?user_id=ada&limit=x&jwt=my-secret-token")
    assert answer.status_code == 400
    assert "my-secret-token" not in answer.text


@pytest.mark.parametrize(
    ("method", "address", "body", "status"),
    [
        ("POST", "/api/v1/events", b'{"source": "a\xff", "payload": 1}', 422),
        ("POST", "/api/v1/events", b'{"source": "s", "payload": "\xff"}', 422),
        ("POST", "/api/v1/events", b'{"source": "s", "payload": {"a": "\xff"}}', 422),
        ("POST", "/api/v1/events", b'{"source": "s", "payload": "\\ud800"}', 422),
        ("POST", "/api/v1/events", b"\xff", 422),
        ("POST", "/api/v1/dead-letters/replay", b'{"source": "a\xff"}', 400),
        ("PUT", "/api/v2/preferences?user_id=ada", b'{"muted_types": ["\xff"]}', 400),
        ("PUT", "/api/v2/preferences?user_id=ada", b'{"muted_types": ["\\ud800"]}', 400),
        ("PATCH", "/api/v2/preferences?user_id=ada", b'{"muted_types": ["\xff"]}', 400),
        ("PUT", "/api/v2/notifications/mark-all-read?user_id=ada", b'{"up_to": "\xff"}', 400),
    ],
)
async def test_a_body_that_is_not_valid_unicode_is_refused(
    client: AsyncTestClient[Any], method: str, address: str, body: bytes, status: int
) -> None:
    with capture_logs() as logs:
        answer = await client.request(method, address, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert not [line for line in logs if line["log_level"] == "error"]


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("DELETE", "/api/v2/notifications/clear-all?user_id=ada&up_to=null"),
        ("GET", "/api/v2/notifications?user_id=ada&limit=null"),
        ("GET", "/api/v2/notifications?user_id=ada&is_read=NULL"),
        ("GET", "/api/v1/dead-letters?cursor=null"),
        ("DELETE", "/api/v1/dead-letters?cursor=null"),
    ],
)
async def test_null_is_not_a_value_of_a_typed_query_parameter(
    client: AsyncTestClient[Any], method: str, address: str
) -> None:
    answer = await client.request(method, address)
    name = address.rpartition("=")[0].rpartition("?")[2].rpartition("&")[2]
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert [fault["field"] for fault in answer.json()["errors"]] == [name]


async def test_a_notification_type_may_be_named_null(client: AsyncTestClient[Any]) -> None:
    assert (await client.get("/api/v2/notifications?user_id=ada&type=null")).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("application/cloudevents+json", 202),
        ("application/x-www-form-urlencoded", 202),
        (None, 202),
        ("text/plain", 415),
        ("application/xml", 415),
        ("multipart/form-data; boundary=x", 415),
        ("json", 415),
    ],
)
async def test_accepted_media_types_of_events(
    client: AsyncTestClient[Any], content_type: str | None, status: int
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    event = b'{"source": "trading_signals", "payload": 1}'
    answer = await client.post("/api/v1/events", content=event, headers=headers)
    assert answer.status_code == status, answer.text


async def test_a_body_over_the_limit_is_refused() -> None:
    settings = load({**IN_MEMORY, "HERALD_MAX_EVENT_BYTES": "100"}, "dev", {})
    async with AsyncTestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        for method, path, size in (
            ("POST", "/api/v1/events", 1000),
            ("PUT", "/api/v2/preferences?user_id=ada", SMALL_BODY_BYTES),
            ("PUT", "/api/v2/notifications/mark-all-read?user_id=ada", SMALL_BODY_BYTES),
            ("POST", "/api/v1/dead-letters/replay", SMALL_BODY_BYTES),
        ):
            answer = await client.request(method, path, json={"x": "y" * size})
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_an_internal_error_exposes_only_its_trace_id() -> None:
    class Broken(BrowseInbox):
        def __init__(self) -> None:
            pass

        async def unread(self, user: str) -> int:
            raise RuntimeError("the password is hunter2")

    override = Provider(scope=Scope.APP)
    override.provide(Broken, provides=BrowseInbox, override=True)
    async with AsyncTestClient(create_app(load(IN_MEMORY, "dev", {}), override), base_url="http://127.0.0.1") as client:
        with capture_logs([merge_contextvars]) as lines:
            answer = await client.get(
                "/api/v2/notifications/unread-count?user_id=ada", headers={"x-request-id": "trace-7"}
            )
    body = answer.json()
    assert (answer.status_code, body["code"], body["trace_id"]) == (500, "internal", "trace-7")
    assert answer.headers["x-request-id"] == "trace-7"
    assert "hunter2" not in answer.text
    assert [line["request_id"] for line in lines if line["event"] == "request_failed"] == ["trace-7"]


@pytest.mark.parametrize(("wait", "said"), [(0.001, "1"), (0.5, "1"), (1.2, "2"), (59.0, "59")])
async def test_retry_after_is_rounded_up_to_whole_seconds(wait: float, said: str) -> None:
    assert math.ceil(wait) <= int(said)
    assert problem("too_many_requests", retry_after=wait).headers["retry-after"] == said


async def test_rate_limited_requests_are_429_with_retry_after(client: AsyncTestClient[Any]) -> None:
    settings = load({**IN_MEMORY, "HERALD_REST_RATE": "0.2"}, "dev", {})
    async with AsyncTestClient(create_app(settings), base_url="http://127.0.0.1") as limited:
        path = "/api/v2/notifications/unread-count"
        for _ in range(2):
            assert (await limited.get(path, params={"user_id": "ada"})).status_code == 200
        answer = await limited.get(path, params={"user_id": "ada"})
        assert (answer.status_code, answer.json()["code"]) == (429, TooManyRequests.code)
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert (await limited.get(path, params={"user_id": "bob"})).status_code == 200
    assert (await client.get(path, params={"user_id": "ada"})).status_code == 200


@pytest.mark.parametrize("source", ["s" * 256, "é" * 128])
async def test_a_source_has_at_most_255_bytes(client: AsyncTestClient[Any], source: str) -> None:
    answer = await client.post("/api/v1/events", json={"source": source, "payload": 1})
    assert answer.status_code == 422
    assert answer.json()["field"] == "source"


async def test_a_query_has_at_most_100_parameters(client: AsyncTestClient[Any]) -> None:
    answer = await client.get("/api/v2/notifications?" + "&".join(f"p{number}=1" for number in range(101)))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
