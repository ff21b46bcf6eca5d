"""Operational endpoints of Herald, and its general HTTP behaviour."""

import asyncio
import json
import re
from pathlib import Path
from socket import gethostname
from typing import Any, Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clients import connect, frame, publish, stream
from tests.support.server import Server

METRICS_PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
async def client(dev_server: Server) -> Any:
    async with httpx.AsyncClient(base_url=dev_server.url, timeout=20) as client:
        yield client


async def test_health_has_the_shapes_of_the_replaced_services(dev_server: Server, client: httpx.AsyncClient) -> None:
    async with connect(dev_server.ws_url + "/ws/notifications"), stream(dev_server) as events:
        await events.next()
        health = (await client.get("/health")).json()
        assert health["status"] == "healthy"
        assert health["service"] == "herald"
        assert health["node"] == f"{gethostname()}:{dev_server.port}"
        assert health["connections"] == 2
        assert health["consumer_running"] is True
        assert health["sse"]["activeConnections"] == 1
        assert health["services"]["memory"] == {"status": "healthy"}
        assert isinstance(health["metrics"]["processedMessagesCount"], int)


async def test_metrics_follow_the_accept_header(dev_server: Server, client: httpx.AsyncClient) -> None:
    await publish(dev_server, "trading_signals", "counted", id="metrics-1")
    await publish(dev_server, "trading_signals", "counted", id="metrics-1")
    body = (await client.get("/metrics")).json()
    assert body["consumer"]["processedMessagesCount"] >= 2
    assert body["events"]["duplicates"] >= 1
    assert set(body["sse"]) == {"activeConnections", "timestamp"}
    for accept in ("text/plain", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"):
        answer = await client.get("/metrics", headers={"accept": accept})
        assert answer.headers["content-type"].startswith(accept.split(";")[0])
    text = (await client.get("/metrics", headers={"accept": "text/plain"})).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["herald_duplicates"].samples[0].value >= 1
    health = (await client.get("/health")).json()
    assert families["herald_node_info"].samples[0].labels == {
        key: health[key] for key in ("node", "service", "version")
    }
    assert families["herald_store_to_socket_seconds"].type == "histogram"
    assert "202" in {sample.labels["status"] for sample in families["herald_requests"].samples}
    for name in ("request", "store_write"):
        (count,) = [one.value for one in families[f"herald_{name}_seconds"].samples if one.name.endswith("_count")]
        assert count >= 1


async def test_scraped_metrics_are_those_of_the_page(dev_server: Server, client: httpx.AsyncClient) -> None:
    """Names, types and labels at `/metrics` of a server in use are those that docs/metrics.md lists."""
    await publish(dev_server, "order.created", {"order_id": "o-1", "customer_email": "kim@example.com"}, id="scraped")
    await publish(dev_server, "order.created", {"order_id": "o-1", "customer_email": "kim@example.com"}, id="scraped")
    listed = {}
    for name, kind, labels in re.findall(
        r"^\| `(herald_\w+)` \| (\w+) \| [^|]+ \| ([^|]+) \|", METRICS_PAGE.read_text(), re.MULTILINE
    ):
        listed[name] = (kind, set(re.findall(r"(?:^|; )`(\w+)`: ", labels)))
    async with connect(dev_server.ws_url + "/ws?user_id=ada", subprotocols=["herald.v1"]) as socket:
        await frame(socket)
        text = (await client.get("/metrics", headers={"accept": "text/plain"})).text
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    # The format of Prometheus has no type `info`.
    assert types == {name: "gauge" if kind == "info" else kind for name, (kind, _) in listed.items()}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count)\Z", "", sample.name) if family.type == "histogram" else sample.name
            assert set(sample.labels) - {"le"} == listed[name][1], sample
    seen = {family.name for family in text_string_to_metric_families(text) if family.samples}
    assert {"herald_sessions_open", "herald_duplicate_events", "herald_deliveries", "herald_source_ready"} <= seen


async def test_the_front_page_follows_the_accept_header(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"accept": "text/html,application/xhtml+xml"})
    assert page.headers["content-type"].startswith("text/html")
    about = (await client.get("/")).json()
    assert about["name"] == "herald"
    assert {profile["name"] for profile in about["profiles"]} == {"signals", "trading", "groups", "orders", "products"}
    assert about["endpoints"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b'{"source": "trading_signals"}', 422),
        (b'{"source": "trading_signals", "payload": 1, "nope": 1}', 422),
        (b'{"source": "no.such.topic", "payload": {}}', 422),
        (b'{"source": "risk-events", "payload": {"nobody": 1}}', 422),
        (b'{"source": "risk-events", "payload": 5}', 422),
        (b'{"source": "risk-events", "payload": "text"}', 422),
        (b'{"source": "risk-events", "payload": {"user_id": "' + b"u" * 10_000 + b'"}}', 422),
        (b'{"source": "trading_signals", "payload": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
        (b'{"source": "trading_signals", "payload": "' + b"x" * 2_000_000 + b'"}', 422),
        (b'{"source": "trading_signals", "payload": "' + b"x" * 9_000_000 + b'"}', 413),
        (b"\xff\xfe", 422),
        (json.dumps([{"source": "trading_signals", "payload": 1}] * 501).encode(), 422),
    ],
)
async def test_publishing_an_invalid_body_is_a_problem_document(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    answer = await client.post("/api/v1/events", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"]
    assert "Traceback" not in answer.text


async def test_one_invalid_event_refuses_the_whole_list(dev_server: Server, client: httpx.AsyncClient) -> None:
    async with connect(dev_server.ws_url + "/ws/notifications") as socket:
        events = [
            {"source": "trading_signals", "payload": "first"},
            {"source": "nowhere", "payload": "second"},
        ]
        answer = await client.post("/api/v1/events", json=events)
        assert (answer.status_code, answer.json()["field"]) == (422, "[1]")
        await publish(dev_server, "trading_signals", "third")
        assert await socket.recv() == "third"


async def test_events_with_the_same_id_are_delivered_once(dev_server: Server) -> None:
    async with connect(dev_server.ws_url + "/ws?user_id=once") as socket:
        await publish(dev_server, "risk-events", {"user_id": "once", "n": 1}, {"user_id": "once", "n": 1}, id="same")
        await publish(dev_server, "risk-events", {"user_id": "once", "n": 1}, id="same")
        await publish(dev_server, "risk-events", {"user_id": "once", "n": 2, "event_id": "other"})
        assert (await frame(socket))["data"]["n"] == 1
        assert (await frame(socket))["data"]["n"] == 2


async def test_concurrent_publishers(dev_server: Server) -> None:
    async with connect(dev_server.ws_url + "/ws/notifications", max_queue=None) as socket:
        await asyncio.gather(
            *(publish(dev_server, "trading_signals", *[f"{one}-{n}" for n in range(20)]) for one in range(20))
        )
        received = [str(await asyncio.wait_for(socket.recv(), 5)) for _ in range(400)]
        for one in range(20):
            assert [text for text in received if text.startswith(f"{one}-")] == [f"{one}-{n}" for n in range(20)]


async def test_without_a_public_url_addresses_have_no_host(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["type"] == "/problems/not_found"
    assert (await client.get("/schema/openapi.json")).json()["servers"] == [{"url": "/"}]
    assert "<base" not in (await client.get("/", headers={"accept": "text/html"})).text


async def test_request_ids_are_kept_or_replaced(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    forged = await client.get("/", headers={"x-request-id": "a b\tc"})
    assert " " not in forged.headers["x-request-id"]
