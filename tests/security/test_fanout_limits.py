"""Limits on the cost of one event for many users."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from application.ingest.store_plans import StoragePolicy, StorePlans
from domain.planning import plan
from entrypoints.app import create_app
from entrypoints.profiles.loader import EVERY, shipped
from entrypoints.settings.loader import load
from tests.support.core import HandClock, RouteTable, message
from tests.support.stores import ROUTES, STORES, Stores

IN_MEMORY = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}
DEFAULTS = load(IN_MEMORY, "dev", {})
LIMITS = DEFAULTS.limits


@pytest.fixture(params=STORES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param]((tmp_path, lambda: request.getfixturevalue("postgres"))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("users", "reason"), [(20_000, "fanout_too_large"), (120_000, "too_many_recipients"), (400, None)]
)
def test_events_above_the_default_recipient_limits_are_dead_letters(users: int, reason: str | None) -> None:
    table = RouteTable(shipped([EVERY]))
    made = plan(message("risk-events", {"user_id": list(range(100_000, 100_000 + users))}), table, LIMITS)
    assert (made.dead_letter.reason if made.dead_letter else None) == reason
    assert sum(len(addressed.users) for addressed in made.addressed) == (0 if reason else users)


@pytest.mark.parametrize("users", [20_000, 140_000])
async def test_publishing_too_many_recipients_is_refused_and_names_the_settings(users: int) -> None:
    async with AsyncTestClient(create_app(DEFAULTS), base_url="http://127.0.0.1") as client:
        event = {"source": "risk-events", "payload": {"user_id": list(range(100_000, 100_000 + users))}}
        answer = await client.post("/api/v1/events", content=json.dumps(event, separators=(",", ":")))
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["code"] == "invalid_input"
        assert "`omit`" in problem["detail"]
        assert "HERALD_MAX_" in problem["detail"]
        assert (
            await client.post("/api/v1/events", json={"source": "risk-events", "payload": {"user_id": 1}})
        ).is_success


async def test_memory_while_storing_is_limited_by_the_part_not_the_fan_out(stores: Stores) -> None:
    """The fan-out is 30 times as large as a part."""
    if type(stores.store).__name__ == "MemoryStore":
        pytest.skip("this store is memory")
    body = 100_000
    store_plans = StorePlans(stores.store, HandClock(), StoragePolicy(bytes=10 * 2 * body))
    sent = {"to": [f"user-{number}" for number in range(300)], "text": "x" * body}
    parts = store_plans.parts([plan(message("direct", sent, "a"), ROUTES)])
    stored = 0
    tracemalloc.start()
    try:
        async for part in store_plans(parts):
            stored += len(part.recorded.entries)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored == 300
    assert peak < 40 * body


async def test_rows_of_a_part_share_one_body_in_memory(stores: Stores) -> None:
    if type(stores.store).__name__ == "MemoryStore":
        pytest.skip("this store is memory")
    body = 100_000
    sent: dict[str, Any] = {"to": [f"user-{number}" for number in range(300)], "text": "x" * body}
    made = plan(message("direct", sent, "a"), ROUTES)
    tracemalloc.start()
    try:
        await stores.store.record([made], HandClock().now())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * body
