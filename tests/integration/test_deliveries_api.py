"""`/api/v1/notifications` on the whole application, in this process and in memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from litestar.testing import AsyncTestClient

from application.ports.deliveries import Deliveries, Outcome
from application.ports.store import Store
from domain.deliveries import Attempt, Status
from domain.planning import plan
from entrypoints.app import create_app
from entrypoints.settings.loader import load
from tests.support.clients import token
from tests.support.core import NOW, message, table
from tests.support.server import SECRET

PATH = "/api/v1/notifications"
# An id that belongs to no delivery.
NOBODYS = "5f0e8f6a-2f5c-4a51-9d2e-6d3f0c1b7a90"
IN_MEMORY = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}
KIM = "kim@example.com"

ROUTES = table(
    """
profile = "orders"
[[routes]]
source = "order.created"
email = { to = "to", subject = "Order {order_id}", template = "order_created.html", user = "user" }
reference = "order_id"
"""
)

OPERATIONS = [("GET", ""), ("GET", "/{id}"), ("POST", "/retry/{id}")]


class Rig:
    """An application with a delivery log, and a way to add deliveries to it."""

    def __init__(self, client: AsyncTestClient[Any]) -> None:
        self.client = client
        self.made = 0

    async def log(self, status: Status, text: str = "it said so", *, to: str = KIM, order: str = "o-1") -> str:
        """Add a delivery with one attempt and this status; a pending one stays claimed. The dispatcher in this process
        never claims it, because it is claimed immediately after it is stored."""
        container = self.client.app.state.dishka_container
        store: Any = await container.get(Store)
        deliveries: Any = await container.get(Deliveries)
        self.made += 1
        event = message("order.created", {"to": to, "order_id": order, "user": "ada"}, f"e-{self.made}")
        await store.record([plan(event, ROUTES)], NOW)
        (claim,) = await deliveries.claim("email", 1, 3600)
        if status != "pending":
            attempt = Attempt(NOW, 0.25, "sent" if status == "sent" else "refused", 550, text)
            await deliveries.record_outcomes([Outcome(claim, attempt, status, None if status == "sent" else text)])
        return str(claim.delivery.id)

    async def ask(self, method: str, path: str = "", status: int = 200, **more: Any) -> Any:
        answer = await self.client.request(method, PATH + path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    environ = {**IN_MEMORY, "HERALD_MAIL_FOLDER": str(tmp_path)}
    async with AsyncTestClient(create_app(load(environ, "dev", {})), base_url="http://127.0.0.1") as client:
        yield Rig(client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Rig, list[str]]]:
    """Four deliveries for tests that only read, with their ids."""
    environ = {**IN_MEMORY, "HERALD_MAIL_FOLDER": str(tmp_path_factory.mktemp("mail")), "HERALD_REST_RATE": "0"}
    async with AsyncTestClient(create_app(load(environ, "dev", {})), base_url="http://127.0.0.1") as client:
        rig = Rig(client)
        ids = [
            await rig.log("sent"),
            await rig.log("failed"),
            await rig.log("sent", to="lee@example.com", order="o-2"),
            await rig.log("pending", order="o-2"),
        ]
        yield rig, ids


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Rig]:
    environ = {**IN_MEMORY, "HERALD_MAIL_FOLDER": str(tmp_path), "HERALD_JWT_SECRET": SECRET}
    async with AsyncTestClient(create_app(load(environ, "serve", {})), base_url="http://127.0.0.1") as client:
        yield Rig(client)


def shows(scope: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token('desk', scope=scope)}"}


async def test_an_item_has_the_fields_that_clients_of_the_replaced_service_expect(rig: Rig) -> None:
    id = await rig.log("failed", "no such user")
    (item,) = (await rig.ask("GET"))["items"]
    times = {name: item.pop(name) for name in ("created_at", "updated_at")}
    assert item == {
        "id": id,
        "order_id": "o-1",
        "recipient": KIM,
        "type": "order.created",
        "event": "order.created",
        "event_id": "e-1",
        "subject": "Order o-1",
        "template": "order_created.html",
        "user_id": "ada",
        "status": "failed",
        "error_message": "no such user",
        "sent_at": None,
        "next_attempt_at": None,
        "attempts": 1,
    }
    assert datetime.fromisoformat(times["created_at"]) == NOW < datetime.fromisoformat(times["updated_at"])
    log = [{"at": "2026-03-01T12:00:00Z", "seconds": 0.25, "result": "refused", "code": 550, "text": "no such user"}]
    assert await rig.ask("GET", f"/{id}") == {**item, **times, "attempt_log": log}


async def test_an_item_shows_when_it_was_sent_and_when_it_is_tried_next(rig: Rig) -> None:
    await rig.log("sent")
    await rig.log("pending")
    pending, sent = (await rig.ask("GET"))["items"]
    assert (pending["status"], pending["sent_at"], pending["attempts"]) == ("pending", None, 0)
    assert datetime.fromisoformat(pending["next_attempt_at"]) > NOW
    assert (sent["status"], sent["next_attempt_at"], sent["error_message"]) == ("sent", None, None)
    assert datetime.fromisoformat(sent["sent_at"]) > NOW


async def test_lists_are_paged_by_number(rig: Rig) -> None:
    ids = [await rig.log("sent") for _ in range(5)]
    first = await rig.ask("GET", params={"page_size": 2})
    assert {**first, "items": [one["id"] for one in first["items"]]} == {
        "items": ids[:2:-1],
        "total": 5,
        "page": 1,
        "page_size": 2,
        "next_cursor": ids[3],
    }
    last = await rig.ask("GET", params={"page": 3, "page_size": 2})
    assert ([one["id"] for one in last["items"]], last["page"], last["next_cursor"]) == ([ids[0]], 3, None)
    beyond = await rig.ask("GET", params={"page": 1_000_000, "page_size": 100})
    assert (beyond["items"], beyond["total"]) == ([], 5)
    assert (await rig.ask("GET"))["page_size"] == 20


async def test_lists_are_paged_by_cursor_and_stable_under_new_deliveries(rig: Rig) -> None:
    ids = [await rig.log("sent") for _ in range(5)]
    cursor = (await rig.ask("GET", params={"page_size": 2}))["next_cursor"]
    await rig.log("sent")
    page = await rig.ask("GET", params={"page_size": 2, "cursor": cursor})
    assert {**page, "items": [one["id"] for one in page["items"]]} == {
        "items": ids[2:0:-1],
        "total": None,
        "page": None,
        "page_size": 2,
        "next_cursor": ids[1],
    }
    last = await rig.ask("GET", params={"page_size": 2, "cursor": page["next_cursor"]})
    assert ([one["id"] for one in last["items"]], last["next_cursor"]) == ([ids[0]], None)


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ({"recipient": KIM}, [3, 1, 0]),
        ({"recipient": " kim@EXAMPLE.com "}, [3, 1, 0]),
        ({"recipient": "Kim@example.com"}, []),
        ({"recipient": "kim"}, []),
        ({"status": "failed"}, [1]),
        ({"status": "pending"}, [3]),
        ({"status": "skipped"}, []),
        ({"order_id": "o-2"}, [3, 2]),
        ({"order_id": "o-2", "status": "sent", "recipient": "lee@example.com"}, [2]),
        ({"user": "ada", "status": "failed"}, [1]),
        ({"user": "bob"}, []),
        ({"event_id": "e-3"}, [2]),
        ({"since": "2026-03-01T12:00:00Z"}, [3, 2, 1, 0]),
        ({"since": "2026-03-02"}, []),
        ({"refused": "true"}, [1]),
        ({"refused": "false"}, []),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_lists_are_filtered(filled: tuple[Rig, list[str]], query: dict[str, str], chosen: list[int]) -> None:
    rig, ids = filled
    answer = await rig.ask("GET", params=query)
    assert [ids.index(one["id"]) for one in answer["items"]] == chosen
    assert answer["total"] == len(chosen)
    by_cursor = await rig.ask("GET", params={**query, "cursor": "ffffffff-ffff-7fff-bfff-ffffffffffff"})
    assert by_cursor["items"] == answer["items"]


async def test_retry_makes_a_failed_delivery_pending_and_returns_it(rig: Rig) -> None:
    id = await rig.log("failed")
    item = await rig.ask("POST", f"/retry/{id}")
    assert (item["id"], item["status"], item["attempts"], item["recipient"]) == (id, "pending", 1, KIM)
    assert item["next_attempt_at"] == item["updated_at"]


@pytest.mark.parametrize("status", ["sent", "pending"])
async def test_a_delivery_that_did_not_fail_is_not_retried_and_the_error_names_its_status(
    rig: Rig, status: Status
) -> None:
    id = await rig.log(status)
    before = await rig.ask("GET", f"/{id}")
    problem = await rig.ask("POST", f"/retry/{id}", 409)
    assert (problem["code"], problem["status"], problem["delivery_status"]) == ("not_failed", 409, status)
    assert f"this one is {status}" in problem["detail"]
    assert await rig.ask("GET", f"/{id}") == before


async def test_of_concurrent_retries_one_succeeds(rig: Rig) -> None:
    id = await rig.log("failed")
    answers = await asyncio.gather(*(rig.client.post(f"{PATH}/retry/{id}") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_every_operation_requires_a_scope(strict: Rig, method: str, path: str) -> None:
    path = path.replace("{id}", await strict.log("failed"))
    assert (await strict.ask(method, path, 401))["code"] == "token_missing"
    for scope in ("", "events:publish"):
        refusal = await strict.ask(method, path, 403, headers=shows(scope))
        assert refusal["code"] == "scope_missing"
        assert ("deliveries:read" in refusal["detail"]) == (method == "GET")
    await strict.ask(method, path, headers=shows("admin"))


async def test_a_read_only_scope_sees_masked_addresses_and_cannot_retry(strict: Rig) -> None:
    id = await strict.log("failed", f"<{KIM}>: no such user")
    reader = shows("deliveries:read")
    listed = await strict.ask("GET", headers=reader)
    shown = await strict.ask("GET", f"/{id}", headers=reader)
    for item in (*listed["items"], shown):
        assert item["recipient"] == "k***@example.com"
        assert item["error_message"] == "<k***@example.com>: no such user"
        assert KIM not in str(item)
    assert [attempt["text"] for attempt in shown["attempt_log"]] == ["<k***@example.com>: no such user"]
    assert (await strict.ask("POST", f"/retry/{id}", 403, headers=reader))["code"] == "scope_missing"
    whole = await strict.ask("GET", f"/{id}", headers=shows("admin"))
    assert (whole["recipient"], whole["status"]) == (KIM, "failed")
    assert whole["attempt_log"][0]["text"] == f"<{KIM}>: no such user"


async def test_only_an_admin_filters_by_address_where_addresses_are_masked(strict: Rig) -> None:
    """Otherwise each response would reveal whether the address exists."""
    await strict.log("sent")
    refusal = await strict.ask("GET", "", 403, params={"recipient": KIM}, headers=shows("deliveries:read"))
    assert refusal["code"] == "scope_missing"
    answer = await strict.ask("GET", params={"recipient": KIM}, headers=shows("admin"))
    assert [item["recipient"] for item in answer["items"]] == [KIM]


async def test_an_unescaped_plus_is_refused_with_a_hint(rig: Rig) -> None:
    await rig.log("sent", to="kim+shop@example.com")
    problem = await rig.ask("GET", "?recipient=kim+shop@example.com", 422)
    assert "%2B" in problem["detail"]
    answer = await rig.ask("GET", "?recipient=kim%2Bshop@example.com")
    assert answer["total"] == 1


@pytest.mark.parametrize(
    ("method", "path", "params", "status", "field"),
    [
        ("GET", "", {"page": 0}, 400, "page"),
        ("GET", "", {"page": 1_000_001}, 400, "page"),
        ("GET", "", {"page_size": 0}, 400, "page_size"),
        ("GET", "", {"page_size": 101}, 400, "page_size"),
        ("GET", "", {"status": "lost"}, 400, "status"),
        ("GET", "", {"status": "null"}, 400, "status"),
        ("GET", "", {"cursor": "x"}, 400, "cursor"),
        ("GET", "", {"cursor": "null"}, 400, "cursor"),
        ("GET", "", {"limit": 5}, 400, "limit"),
        ("GET", "", {"cursor": NOBODYS, "page": 1}, 422, "cursor"),
        ("GET", "", {"recipient": "kim\0@example.com"}, 422, "recipient"),
        ("GET", "", {"order_id": "o\0"}, 422, "order_id"),
        ("GET", "", {"user": "u\0"}, 422, "user"),
        ("GET", "", {"event_id": "e\0"}, 422, "event_id"),
        ("GET", "", {"since": "yesterday"}, 422, "since"),
        ("GET", "", {"refused": "maybe"}, 400, "refused"),
        ("GET", f"/{NOBODYS}", {}, 404, None),
        ("GET", "/x", {}, 404, None),
        ("POST", f"/retry/{NOBODYS}", {}, 404, None),
        ("POST", "/retry/x", {}, 404, None),
        ("GET", f"/retry/{NOBODYS}", {}, 405, None),
        ("POST", f"/{NOBODYS}", {}, 405, None),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_invalid_requests_are_refused(
    filled: tuple[Rig, list[str]], method: str, path: str, params: dict[str, Any], status: int, field: str | None
) -> None:
    problem = await filled[0].ask(method, path, status, params=params)
    named = problem.get("field") or next((one["field"] for one in problem.get("errors", [])), None)
    assert named == field
