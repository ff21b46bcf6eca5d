"""A second channel on every store: one module (`tests.support.print_channel`) and one line of a registry."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from application.delivery.channel import Deferred, PeerUnavailable
from application.operations.node import Node
from application.ports.preferences import PreferencesStore
from application.ports.store import Store
from application.routes_in_force import RoutesInForce
from domain.deliveries import Status
from domain.planning import plan
from domain.preferences import Preferences
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from entrypoints.app import create_app
from entrypoints.channels import CHANNELS
from entrypoints.cli.explain import explain
from entrypoints.prepare_database import prepare
from entrypoints.profiles.loader import read_file
from entrypoints.settings.loader import load
from tests.support.core import NOW, message
from tests.support.print_channel import Line, PrintChannel, printing

ROUTES = """
profile = "shop"
broker = "memory"
[[routes]]
source = "order"
print = { to = "printers", line = "Order {order_id}", user = "customer", ink = "blue" }
[[routes]]
source = "later"
print = { to = "printers", line = "Order {order_id}", delay_seconds = 3600 }
"""


class Shop:
    """The whole application with a second channel, in this process."""

    def __init__(self, client: AsyncClient, container: Any, channel: PrintChannel, folder: Path) -> None:
        self.client = client
        self.container = container
        self.channel = channel
        self.folder = folder

    async def order(self, id: str, *printers: str, source: str = "order", customer: str | None = None) -> None:
        event = {"printers": list(printers), "order_id": id, "customer": customer}
        table = (await self.container.get(RoutesInForce)).table
        store = await self.container.get(Store)
        # The current time, because retention deletes deliveries that ended long ago.
        await store.record([plan(message(source, event, id, time=NOW), table)], datetime.now(UTC))

    async def log(self, **only: str) -> list[dict[str, Any]]:
        answer = await self.client.get("/api/v1/notifications", params={"page_size": "100", **only})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def until(self, status: Status, count: int = 1) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 30
        while len(listed := await self.log(status=status)) != count:
            assert time.monotonic() < deadline, await self.log()
            await asyncio.sleep(0.02)
        return listed

    async def metrics(self) -> str:
        return (await self.client.get("/metrics", headers={"accept": "text/plain"})).text

    def printed(self, printer: str) -> list[str]:
        file = self.folder / printer
        return file.read_text().splitlines() if file.exists() else []


@asynccontextmanager
async def opened(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    url, drop = "memory:", None
    if store == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/herald.db"
    elif store == "postgres":
        server = request.getfixturevalue("postgres")
        url, drop = server.create(), server.drop
    routes, folder = tmp_path / "shop.toml", tmp_path / "printed"
    routes.write_text(ROUTES)
    folder.mkdir()
    environ = {"DATABASE_URL": url, "HERALD_BROKER": "memory", "HERALD_ROUTES": str(routes)}
    settings = load({**environ, "HERALD_MAIL_FOLDER": str(tmp_path / "mail")}, "dev", {})
    await prepare(settings, migrate=True)
    channel = PrintChannel(folder)
    app = create_app(settings, channels=(*CHANNELS, printing(channel)))
    # On this event loop, because the database connections belong to it: litestar's test client has its own loop.
    container = app.state.dishka_container
    node = await container.get(Node)
    await node.start()
    try:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
            yield Shop(client, container, channel, folder)
    finally:
        await node.stop()
        await container.close()
    if drop is not None:
        drop(url)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(request.param, tmp_path, request) as shop:
        yield shop


async def test_a_delivery_is_planned_by_a_route_sent_and_logged(shop: Shop) -> None:
    await shop.order("o-1", "lobby", "office")
    await shop.order("o-1", "lobby", "office")  # duplicate: no new delivery
    sent = await shop.until("sent", 2)
    for item in sent:
        assert (item["subject"], item["event_id"], item["attempts"]) == ("Order o-1", "o-1", 1)
        (line,) = shop.printed(item["recipient"])
        assert line.startswith(f"{item['id']} Order o-1 (blue, ")
        assert '"order_id"' in line
    assert sorted(item["recipient"] for item in sent) == ["lobby", "office"]
    one = (await shop.client.get(f"/api/v1/notifications/{sent[0]['id']}")).json()
    assert [attempt["text"] for attempt in one["attempt_log"]] == ["printed"]
    metrics = await shop.metrics()
    assert 'herald_delivery_attempts_total{channel="print",result="sent"} 2.0' in metrics


async def test_a_delivery_is_held_until_due(shop: Shop) -> None:
    await shop.order("o-1", "lobby", source="later")
    await shop.order("o-2", "lobby")
    await shop.until("sent", 2)  # the hour after NOW is in the past
    recent = (await shop.container.get(RoutesInForce)).table
    event = message("later", {"printers": "lobby", "order_id": "o-3"}, "o-3")
    made = plan(event, recent)
    assert [(one.due_at - NOW).total_seconds() for one in made.deliveries if one.due_at] == [3_600]


async def test_preferences_skip_a_delivery(shop: Shop) -> None:
    preferences: Any = await shop.container.get(PreferencesStore)
    await preferences.put("ada", Preferences(muted_types=("order",)), NOW)
    await shop.order("o-1", "lobby", customer="ada")
    (item,) = await shop.until("skipped")
    assert (item["error_message"], item["user_id"]) == ("ada has muted order", "ada")
    await shop.order("o-2")
    assert "no_address" in [item["error_message"] for item in await shop.until("skipped", 2)]
    assert shop.printed("lobby") == []


async def test_a_failed_delivery_is_retried_on_request(shop: Shop) -> None:
    await shop.order("o-1", "nowhere")
    (item,) = await shop.until("failed")
    assert item["error_message"] == "there is no such printer"
    answer = await shop.client.post(f"/api/v1/notifications/retry/{item['id']}")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    (item,) = await shop.until("failed")
    while item["attempts"] < 2:
        (item,) = await shop.until("failed")
    assert item["attempts"] == 2


async def test_an_unavailable_destination_does_not_delay_other_destinations(shop: Shop) -> None:
    broken = True

    def answer(line: Line) -> None:
        if broken and line.destination == "broken":
            raise PeerUnavailable("out of paper")
        if line.destination == "slow" and not shop.printed("lobby"):
            raise Deferred("busy")

    shop.channel.answer = answer
    for number in range(20):
        await shop.order(f"b-{number}", "broken")
    await shop.order("o-1", "lobby", "slow")
    await shop.until("sent", 2)
    assert {item["recipient"] for item in await shop.log(status="pending")} == {"broken"}
    health = (await shop.client.get("/health")).json()
    assert "out of paper" in str(health)
    assert "broken" not in str(health)  # /health needs no token: no destination is shown in full
    broken = False
    await shop.until("sent", 22)
    assert len(shop.printed("broken")) == 20
    assert 'channel="print",result="server"' in await shop.metrics()


async def test_routes_with_the_channel_are_validated_and_explained(tmp_path: Path) -> None:
    file, channels = tmp_path / "shop.toml", (*CHANNELS, printing(PrintChannel(tmp_path)))
    file.write_text(ROUTES)
    table = RouteTable((read_file(str(file), channels),))
    explained = explain("order", b'{"printers": "lobby", "order_id": 7}', table, NOW).text
    assert "print        to lobby, subject 'Order 7'" in explained
    for wrong, place in (
        (ROUTES.replace('ink = "blue"', "ink = 7"), "route 1 .*: print.ink: "),
        (ROUTES.replace('ink = "blue"', 'pen = "blue"'), "route 1 .*: print.pen: is not a key"),
        (ROUTES.replace("{order_id}", "{order id}"), "print.line: has the placeholder"),
    ):
        file.write_text(wrong)
        with pytest.raises(RoutesInvalid, match=place):
            read_file(str(file), channels)
    file.write_text(ROUTES)
    with pytest.raises(RoutesInvalid, match="print: is not a key"):
        read_file(str(file))
