"""The page at `/`, and a plain EventSource of a browser, in a real Chromium against a real server."""

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocketRoute, expect

from tests.e2e.conftest import StartServer
from tests.support.clients import publish, token
from tests.support.pages import (
    IN_BROWSER_LOOP,
    LATER,
    SOON,
    Watch,
    both_show,
    column,
    open_page,
    reset_user,
    send,
    state,
)
from tests.support.proxy import Proxy
from tests.support.server import SECRET, Server

SIGN_OUT = "A user logs out everywhere"

pytestmark = IN_BROWSER_LOOP


@pytest_asyncio.fixture(loop_scope="session")
async def server(dev_server: Server) -> Server:
    """The shared server, with an empty inbox of the user as whom the page opens."""
    await reset_user(dev_server)
    return dev_server


@pytest.fixture(scope="module")
def jwt_server(start_shared_server: StartServer) -> Server:
    return start_shared_server({"HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET})


async def samples(server: Server) -> list[dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        about = (await client.get(server.url, headers={"accept": "application/json"})).json()
    return [sample for profile in about["profiles"] for sample in profile["samples"]]


async def test_every_sample_arrives_at_both_clients_and_a_sign_out_ends_both(server: Server, page: Page) -> None:
    watch = Watch(page)
    await open_page(page, server.url)

    arrived: list[str] = []
    types = {
        "user_service.group.add_users": "group_user_added",
        "user_service.group.remove_users": "group_user_removed",
        "user_service.group.leave_groups": "group_user_left",
        "user_service.group.update_headchef_role": "group_head_chef_updated",
        "order.created": "order.created",
        "order.status.updated": "order.status.updated",
        "A product is created": "ProductCreated",
        "A product is low in stock": "LowStockWarning",
        "trading_signals": "trading_signals",
        "regime-events": "regime_change",
        "risk-events": "risk_alert",
        "execution-events": "order_executed",
    }
    for sample in await samples(server):
        if sample["title"] == SIGN_OUT:
            continue
        await send(page, sample["title"]).click()
        arrived.insert(0, types.get(sample["source"]) or types[sample["title"]])
        await both_show(page, arrived)
        await expect(page.get_by_role("status")).to_contain_text("Stored", timeout=SOON)
        await expect(page.locator("#command")).to_contain_text(sample["source"])
    assert len(arrived) == len(types)
    for client in ("WebSocket", "SSE"):
        await expect(column(page, client).locator(".unread")).to_have_text("6")

    await send(page, SIGN_OUT).click()
    await state(page, "stopped", SOON)
    for client in ("WebSocket", "SSE"):
        await expect(column(page, client)).to_contain_text("signed out (4502)")
    await publish(server, "risk-events", {"user_id": "alice", "message": "while away"})
    for client in ("WebSocket", "SSE"):
        await column(page, client).get_by_role("button", name="Connect again").click()
    await state(page, "live", SOON)
    await both_show(page, ["while away", *arrived])

    assert watch.complaints == []
    origins = (server.url, server.main_ws_url, "data:")
    assert [url for url in watch.requests if not url.startswith(origins)] == []


async def test_the_page_shows_the_selected_feeds_and_the_own_inbox(server: Server, page: Page) -> None:
    await open_page(page, server.url)
    for feed in ("orders", "products", "signals"):
        await page.get_by_label(feed).uncheck()
    await page.get_by_label("User ID").fill("bøb & co")
    await page.keyboard.press("Enter")
    await state(page, "live")
    await publish(server, "trading_signals", "not picked")
    await publish(server, "risk-events", {"user_id": "alice", "message": "not theirs"})
    await publish(server, "regime-events", {"note": "picked"})
    await publish(server, "risk-events", {"user_id": "bøb & co", "message": "theirs"})
    await both_show(page, ["theirs", "picked"])

    await page.get_by_label("market").uncheck()
    await state(page, "live")
    await publish(server, "regime-events", {"note": "no longer picked"})
    await send(page, "A risk alert for one user").click()
    await both_show(page, ["Position limit is near", "theirs", "picked"])


async def test_markup_in_a_notification_is_shown_as_text(server: Server, page: Page) -> None:
    watch = Watch(page)
    await open_page(page, server.url)
    markup = "<img src=/x onerror='window.caught=1'><script>window.caught=1</script>"
    event = {"receivers": ["alice"], "group_name": markup, "requester_username": markup, "event_type": markup}
    await publish(server, "user_service.group.add_users", event)
    await publish(server, "trading_signals", markup)
    await both_show(page, [markup, f"Added to {markup}"])
    assert await page.evaluate("[window.caught, document.querySelectorAll('img').length]") == [None, 0]
    assert watch.complaints == []


async def test_a_broken_connection_resumes_without_loss(server: Server, page: Page) -> None:
    async with Proxy(server.port) as proxy:
        await open_page(page, proxy.url)
        await publish(server, "risk-events", {"user_id": "alice", "message": "before"})
        await both_show(page, ["before"])
        proxy.cut()
        await state(page, "reconnecting")
        await publish(server, "risk-events", {"user_id": "alice", "message": "missed"})
        await publish(server, "trading_signals", "missed too")
        proxy.mend()
        await state(page, "live")
        for client in ("WebSocket", "SSE"):
            entries = column(page, client).get_by_role("listitem")
            await expect(entries).to_have_count(3, timeout=SOON)
            await expect(entries.filter(has_text="missed")).to_have_count(2)
            await expect(column(page, client)).to_contain_text("nothing missed")


async def test_with_tokens_the_browser_is_anonymous_or_the_user_of_its_token(jwt_server: Server, page: Page) -> None:
    await open_page(page, jwt_server.url)
    # Anonymous: only public feeds, whatever else is selected.
    await page.get_by_label("products").uncheck()
    await state(page, "live")
    await publish(jwt_server, "order.created", {"order_id": "o-1"}, token=token("shop", scope="events:publish"))
    await publish(jwt_server, "trading_signals", "for everyone", token=token("shop", scope="events:publish"))
    await both_show(page, ["for everyone"])
    await send(page, "A trading signal").click()
    await expect(page.get_by_role("status")).to_contain_text("A token is needed. (401)")

    await page.get_by_label("Token of the user").fill(token("bøb", scope="events:publish"))
    user = page.get_by_label("User ID")
    await expect(user).to_have_value("bøb")
    await expect(user).not_to_be_editable()
    await page.get_by_role("button", name="Connect", exact=True).click()
    await state(page, "live")
    await send(page, "A risk alert for one user").click()
    await both_show(page, ["risk_alert"])
    assert token("bøb").split(".")[0] not in await page.locator("main").inner_text()


async def test_the_user_of_a_token_is_shown_by_the_configured_claim(start_server: StartServer, page: Page) -> None:
    settings = {"HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET, "HERALD_JWT_USER_CLAIM": "account.id"}
    await open_page(page, start_server(settings).url)
    await page.get_by_label("Token of the user").fill(token("x", account={"id": "ada"}))
    await expect(page.get_by_label("User ID")).to_have_value("ada")
    await page.get_by_label("Token of the user").fill(token("x", **{"account": {"id": "ada"}, "account.id": "bob"}))
    await expect(page.get_by_label("User ID")).to_have_value("bob")
    await page.get_by_role("button", name="Connect", exact=True).click()
    await state(page, "live")


@pytest.mark.parametrize(
    "shown", [token("alice") + "x", "opaque", token("alice", exp=1)], ids=["tampered", "opaque", "expired"]
)
async def test_a_refused_token_is_reported_in_place_of_the_inbox(jwt_server: Server, page: Page, shown: str) -> None:
    await open_page(page, jwt_server.url)
    await page.get_by_label("Token of the user").fill(shown)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await state(page, "stopped")
    await expect(page.locator("#inbox-note")).to_contain_text("The inbox cannot be loaded")
    empty = "getComputedStyle(document.getElementById('items'), '::before').content"
    assert await page.evaluate(empty) == "none"
    # A valid token afterwards is accepted.
    await page.get_by_label("Token of the user").fill(token("alice"))
    await page.get_by_role("button", name="Connect", exact=True).click()
    await state(page, "live")
    await expect(page.locator("#inbox-note")).to_be_empty()
    await page.wait_for_function(f"""{empty} === '"No notifications."'""")


async def test_state_changes_are_shown_on_their_entry(server: Server, page: Page) -> None:
    """With frames made by the test for what a server rarely sends: read state, a close during a session, a bye."""
    sockets: list[WebSocketRoute] = []
    heard: list[Any] = []

    def say(*objects: dict[str, Any]) -> None:
        sockets[-1].send("\n".join(json.dumps(each) for each in objects))

    def answer(text: str | bytes) -> None:
        heard.append(json.loads(text))
        positions = heard[-1]["resume"].get("positions", {"inbox": 4})
        say({"kind": "hello", "epoch": "e1", "positions": positions, "heartbeat": 30, "resumed": True, "gap": []})

    def accept(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.on_message(answer)

    def notification(seq: int) -> dict[str, Any]:
        place = {"stream": "inbox", "seq": seq, "id": f"id-{seq}", "unread": seq - 4}
        about = {"type": f"type-{seq}", "time": "2025-01-29T10:00:00.000Z", "title": "", "message": "", "data": {}}
        return {"kind": "notification", "read": False, **place, **about}

    await page.route_web_socket(lambda url: "/ws?" in url, accept)
    await open_page(page, server.url)
    shown = column(page, "WebSocket")
    entries = shown.get_by_role("listitem")
    say(notification(5), notification(6))
    await expect(entries).to_have_count(2)
    await expect(shown.locator(".unread")).to_have_text("2")

    say({"kind": "read", "stream": "inbox", "seq": 5, "changed": 7, "id": "id-5", "unread": 1})
    await expect(entries.last).to_contain_text("read · notification · inbox 5")
    await expect(shown.locator(".unread")).to_have_text("1")
    say({"kind": "archived", "stream": "inbox", "seq": 6, "changed": 8, "id": "id-6", "unread": 0})
    await expect(entries.first).to_contain_text("archived · notification · inbox 6")
    say({"kind": "unread", "stream": "inbox", "seq": 5, "changed": 9, "id": "id-5", "unread": 1})
    await expect(entries.last).not_to_contain_text("read ·")
    say(notification(2) | {"changed": 10})  # not in this list any more, so nothing is shown
    say({"kind": "gap", "stream": "inbox", "after": 10, "upto": 12})
    await expect(entries.first).to_contain_text("Gap")
    await expect(entries).to_have_count(3)

    say({"kind": "bye", "code": 1012, "reason": "restarting", "reconnect_in": 0.2})
    await sockets[-1].close(code=1012)
    await expect(shown.locator(".state b")).to_have_text("live", timeout=SOON)
    assert heard == [{"resume": {}}, {"resume": {"epoch": "e1", "positions": {"inbox": 12}}}]
    await sockets[-1].close(code=4408)
    await expect(shown.locator(".state b")).to_have_text("reconnecting")
    await expect(shown.locator(".state b")).to_have_text("live")
    await sockets[-1].close(code=4503, reason="too many")
    await expect(shown.locator(".state")).to_contain_text("stopped too many (4503)")


COLLECT = """path => {
    window.seen = [];
    window.source = new EventSource(path);
    source.onmessage = ({data}) => {
        const {type, gap, data: content} = JSON.parse(data);
        if (type === "connection") seen.push(gap ? "gap" : "connected");
        else if (type !== "heartbeat") seen.push(content.number);
    };
}"""


async def test_a_plain_event_source_receives_exactly_what_it_missed(server: Server, page: Page) -> None:
    async def number(first: int, last: int) -> None:
        for n in range(first, last + 1):
            await publish(server, "risk-events", {"user_id": "alice", "number": n})

    async with Proxy(server.port) as proxy:
        await page.goto(f"{proxy.url}/health/live")
        await page.evaluate(COLLECT, "/events/stream?user_id=alice")
        await page.wait_for_function("seen.length === 1")
        expected: list[Any] = ["connected"]
        for first in (1, 101):
            await number(first, first + 2)
            await page.wait_for_function("n => seen.includes(n)", arg=first + 2)
            proxy.cut()
            await number(first + 3, first + 9)
            proxy.mend()
            await page.wait_for_function("n => seen.includes(n)", arg=first + 9, timeout=LATER)
            expected += [first, first + 1, first + 2, "connected", *range(first + 3, first + 10)]
        assert await page.evaluate("seen") == expected
