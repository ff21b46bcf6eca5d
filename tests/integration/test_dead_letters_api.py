"""`/api/v1/dead-letters` on the whole application, in this process and in memory."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from litestar.testing import AsyncTestClient

from application.ports.store import Store
from domain.broker_messages import Message
from domain.planning import plan
from domain.route_table import RouteTable
from entrypoints.app import create_app
from entrypoints.settings.loader import load
from tests.support.clients import token
from tests.support.core import NOW, message, table
from tests.support.server import SECRET

PATH = "/api/v1/dead-letters"
# An id that belongs to no dead letter.
NOBODYS = "5f0e8f6a-2f5c-4a51-9d2e-6d3f0c1b7a90"
IN_MEMORY = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}


class Rig:
    """An application, and a way to create dead letters in it."""

    def __init__(self, client: AsyncTestClient[Any]) -> None:
        self.client = client

    async def lose(self, *messages: Message, routes: RouteTable | None = None) -> None:
        """Store the plans of the messages. The default routes do not know these sources, so they become dead
        letters."""
        store: Any = await self.client.app.state.dishka_container.get(Store)
        await store.record([plan(one, routes or table()) for one in messages], NOW)

    async def ask(self, method: str, path: str = "", status: int = 200, **more: Any) -> Any:
        answer = await self.client.request(method, PATH + path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncTestClient(create_app(load(IN_MEMORY, "dev", {})), base_url="http://127.0.0.1") as client:
        yield Rig(client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty() -> AsyncIterator[Rig]:
    """An application without dead letters."""
    settings = load({**IN_MEMORY, "HERALD_REST_RATE": "0"}, "dev", {})
    async with AsyncTestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield Rig(client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[Rig]:
    environ = {**IN_MEMORY, "HERALD_JWT_SECRET": SECRET, "HERALD_REST_RATE": "0"}
    async with AsyncTestClient(create_app(load(environ, "serve", {})), base_url="http://127.0.0.1") as client:
        yield Rig(client)


def risk(number: int, payload: Any = None) -> Message:
    return message("risk-events", {"user_id": "ada", "n": number} if payload is None else payload, f"r-{number}")


async def test_a_dead_letter_is_shown_with_its_body_and_reason(rig: Rig) -> None:
    await rig.lose(message("somewhere", b"\xff\x00", "s-1", headers={"ce_type": "x"}), message("else", "text", "e-1"))
    newest, oldest = (await rig.ask("GET"))["data"]
    assert (newest["source"], oldest["source"], oldest["size"]) == ("else", "somewhere", 2)
    letter = await rig.ask("GET", f"/{oldest['id']}")
    assert base64.b64decode(letter["body_base64"]) == b"\xff\x00"
    assert letter["body_text"] is None
    assert (letter["reason"], letter["times"], letter["event_id"]) == ("not_utf8", 1, "s-1")
    assert letter["headers"] == {"ce_type": "x"}
    assert (await rig.ask("GET", f"/{newest['id']}"))["body_text"] == "text"


async def test_a_dead_letter_of_a_message_without_a_body(rig: Rig) -> None:
    kept = table(
        """
        profile = "kept"
        [[routes]]
        source = "somewhere"
        users = ["to"]
        tombstone = "dead-letter"
        """
    )
    await rig.lose(Message("somewhere", None, NOW, "t-1", key="k"), routes=kept)
    ((listed,)) = (await rig.ask("GET"))["data"]
    letter = await rig.ask("GET", f"/{listed['id']}")
    assert (letter["body_base64"], letter["body_text"], letter["key"], letter["size"]) == (None, None, "k", 0)


async def test_lists_are_filtered_and_paged_by_cursor(rig: Rig) -> None:
    await rig.lose(*(message("a" if n % 2 else "b", "{" if n < 4 else {}, f"m-{n}") for n in range(8)))
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await rig.ask("GET", params={"source": "a", "limit": 3, **cursor})
        assert page["meta"]["total"] == 4
        found += [one["event_id"] for one in page["data"]]
        if page["meta"]["next_cursor"] is None:
            break
        cursor = {"cursor": page["meta"]["next_cursor"]}
    assert found == ["m-7", "m-5", "m-3", "m-1"]
    assert (await rig.ask("GET", params={"reason": "no_route"}))["meta"]["total"] == 8
    assert (await rig.ask("GET", params={"start_date": "2026-03-02"}))["meta"]["total"] == 0
    assert (await rig.ask("GET", params={"end_date": "2026-03-01"}))["meta"]["total"] == 8


async def test_replaying_one_stores_its_notification_once_and_removes_the_dead_letter(rig: Rig) -> None:
    await rig.lose(risk(1))
    ((letter,)) = (await rig.ask("GET"))["data"]
    assert await rig.ask("POST", f"/{letter['id']}/replay") == {
        "replayed": [letter["id"]],
        "failed": [],
        "next_cursor": None,
    }
    await rig.ask("POST", f"/{letter['id']}/replay", 404)
    inbox = (await rig.client.get("/api/v2/notifications", params={"user_id": "ada"})).json()["data"]
    assert [item["event_id"] for item in inbox] == ["r-1"]


async def test_replay_by_filter_reports_which_failed_again(rig: Rig) -> None:
    await rig.lose(risk(1), risk(2, {"nobody": 1}), message("nowhere", {}, "n-1"))
    outcome = await rig.ask("POST", "/replay", json={"source": "risk-events"})
    assert len(outcome["replayed"]) == 1
    assert [failed["reason"] for failed in outcome["failed"]] == ["no_recipient"]
    left = (await rig.ask("GET"))["data"]
    assert {(one["event_id"], one["times"]) for one in left} == {("r-2", 2), ("n-1", 1)}
    everything = await rig.ask("POST", "/replay")
    assert len(everything["failed"]) == 2


async def test_drop_one_by_filter_and_all(rig: Rig) -> None:
    await rig.lose(*(message("a" if n % 2 else "b", {}, f"m-{n}") for n in range(6)))
    first = (await rig.ask("GET"))["data"][0]["id"]
    for dropped in (1, 0):
        assert await rig.ask("DELETE", f"/{first}") == {"dropped": dropped, "next_cursor": None}
    assert (await rig.ask("DELETE", params={"source": "b"}))["dropped"] == 3
    assert (await rig.ask("DELETE"))["dropped"] == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/{id}"),
        ("POST", "/{id}/replay"),
        ("POST", "/replay"),
        ("DELETE", "/{id}"),
        ("DELETE", ""),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_operation_requires_the_scope_admin(strict: Rig, method: str, path: str) -> None:
    await strict.lose(risk(1))
    admin = {"authorization": f"Bearer {token('ops', scope='admin')}"}
    path = path.replace("{id}", (await strict.ask("GET", headers=admin))["data"][0]["id"])
    assert (await strict.ask(method, path, 401))["code"] == "token_missing"
    other = {"authorization": f"Bearer {token('ada', scope='events:publish')}"}
    assert (await strict.ask(method, path, 403, headers=other))["code"] == "scope_missing"
    await strict.ask(method, path, headers=admin)


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "field"),
    [
        ("GET", "", {"params": {"limit": 0}}, 400, "limit"),
        ("GET", "", {"params": {"cursor": "x"}}, 400, "cursor"),
        ("GET", "", {"params": {"sorce": "a"}}, 400, "sorce"),
        ("GET", "", {"params": {"start_date": "yesterday"}}, 422, "start_date"),
        ("GET", "", {"params": {"source": "a\0"}}, 422, "source"),
        ("DELETE", "", {"params": {"end_date": "0001-01-01T00:00:00+05:00"}}, 422, "end_date"),
        ("POST", "/replay", {"json": {"reason": "\0"}}, 422, "reason"),
        ("POST", "/replay", {"json": {"sorce": "a"}}, 400, "body"),
        ("POST", f"/{NOBODYS}/replay", {}, 404, None),
        ("GET", f"/{NOBODYS}", {}, 404, None),
        ("GET", "/x", {}, 404, None),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_invalid_requests_are_refused(
    empty: Rig, method: str, path: str, more: Any, status: int, field: str | None
) -> None:
    problem = await empty.ask(method, path, status, **more)
    named = problem.get("field") or next((one["field"] for one in problem.get("errors", [])), None)
    assert named == field
