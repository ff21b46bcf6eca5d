"""The inbox on the page at `/`, in a real Chromium against a real server, often in two tabs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.conftest import StartServer
from tests.support.clients import publish, token
from tests.support.pages import IN_BROWSER_LOOP, LATER, SOON, Watch, both_show, column, open_page, reset_user, state
from tests.support.proxy import Proxy
from tests.support.server import SECRET, Server

RISKS = "risk-events"
ORDERS = "execution-events"

pytestmark = IN_BROWSER_LOOP


@pytest_asyncio.fixture(loop_scope="session")
async def server(dev_server: Server) -> Server:
    """The shared server, with an empty inbox of the user as whom the page opens."""
    await reset_user(dev_server)
    return dev_server


def items(page: Page) -> Locator:
    return page.get_by_role("list", name="Notifications").get_by_role("listitem")


def item(page: Page, text: str) -> Locator:
    return items(page).filter(has_text=text)


def press(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="Inbox", exact=True).get_by_role("button", name=name, exact=True)


async def inbox(page: Page, texts: list[str], unread: int, within: int = SOON) -> None:
    """Wait until the list shows exactly these entries, and the badge this total."""
    await expect(items(page)).to_contain_text(texts, timeout=within)
    await expect(items(page)).to_have_count(len(texts), timeout=within)
    await expect(page.locator("#unread")).to_have_text(f"{unread} unread", timeout=within)


async def alert(server: Server, *messages: str, user: str = "alice") -> None:
    await publish(server, RISKS, *({"user_id": user, "message": message} for message in messages))


@pytest_asyncio.fixture(loop_scope="session")
async def other(browser: Browser) -> AsyncIterator[Page]:
    async with await browser.new_page() as page:
        yield page


async def test_a_change_in_one_tab_is_shown_in_the_other_immediately(server: Server, page: Page, other: Page) -> None:
    tabs = (page, other)
    watches = [Watch(tab) for tab in tabs]
    for tab in tabs:
        await open_page(tab, server.url)
        await inbox(tab, [], 0)
        await tab.evaluate("window.untouched = true")

    async def both(texts: list[str], unread: int) -> None:
        for tab in tabs:
            await inbox(tab, texts, unread)

    await alert(server, "one", "two", "three")
    await both(["three", "two", "one"], 3)

    await item(page, "two").get_by_role("button", name="Mark read").click()
    await both(["three", "two", "one"], 2)
    for tab in tabs:
        await expect(item(tab, "two").get_by_role("button", name="Mark unread")).to_be_visible()
        await expect(item(tab, "three").get_by_role("button", name="Mark read")).to_be_visible()
        await expect(tab).to_have_title("(2) Herald, live")
    await item(other, "two").get_by_role("button", name="Mark unread").click()
    await both(["three", "two", "one"], 3)

    await item(other, "two").get_by_role("button", name="Archive").press("Enter")
    await both(["three", "one"], 2)
    await expect(item(other, "one").get_by_role("button", name="Archive")).to_be_focused()

    # A move of the watermark is about no notification: nothing is shown.
    for tab in tabs:
        await expect(column(tab, "WebSocket").get_by_role("listitem")).to_have_count(3)
    seen = await page.request.put(f"{server.url}/api/v2/notifications/seen?user_id=alice")
    assert seen.ok

    await press(page, "Mark all read").click()
    await both(["three", "one"], 0)
    for tab in tabs:
        await expect(column(tab, "WebSocket").get_by_role("listitem")).to_have_count(3)
    for tab in tabs:
        await expect(items(tab).get_by_role("button", name="Mark unread")).to_have_count(2)

    page.once("dialog", lambda dialog: dialog.dismiss())
    await press(page, "Clear all").click()
    await alert(server, "four")
    await both(["four", "three", "one"], 1)
    page.once("dialog", lambda dialog: dialog.accept())
    await press(page, "Clear all").click()
    await both([], 0)
    await alert(server, "five")
    await both(["five"], 1)

    for tab, watch in zip(tabs, watches, strict=True):
        assert await tab.evaluate("window.untouched")
        assert watch.complaints == []


async def test_a_disconnected_tab_catches_up(server: Server, page: Page, other: Page) -> None:
    watch = Watch(page)
    async with Proxy(server.port) as proxy:
        await open_page(page, proxy.url)
        await open_page(other, server.url)
        await alert(server, "one", "two", "three")
        for tab in (page, other):
            await inbox(tab, ["three", "two", "one"], 3)
        watch.requests.clear()

        proxy.cut()
        await state(page, "reconnecting")
        await item(other, "one").get_by_role("button", name="Archive").click()
        await item(other, "two").get_by_role("button", name="Mark read").click()
        await alert(server, "four")
        await inbox(other, ["four", "three", "two"], 2)
        proxy.mend()
        await state(page, "live")
        await inbox(page, ["four", "three", "two"], 2)
        await expect(item(page, "two").get_by_role("button", name="Mark unread")).to_be_visible()
        assert not [url for url in watch.requests if "/api/v2/" in url], "resuming needs no list"


async def test_older_notifications_are_paged_and_read_ones_filtered(server: Server, page: Page) -> None:
    names = [f"<{n:02}>" for n in range(25, 0, -1)]
    await alert(server, *reversed(names))
    await open_page(page, server.url)
    await inbox(page, names[:10], 25)

    await press(page, "Older").click()
    await inbox(page, names[:20], 25)
    await alert(server, "newest")
    await inbox(page, ["newest", *names[:20]], 26)
    await press(page, "Older").click()
    await inbox(page, ["newest", *names], 26)
    await expect(press(page, "Older")).to_be_hidden()

    await item(page, "<24>").get_by_role("button", name="Mark read").click()
    await page.get_by_label("Unread only").check()
    unread = ["newest", *(name for name in names if name != "<24>")]
    await inbox(page, unread, 25)
    await item(page, "<23>").get_by_role("button", name="Mark read").click()
    unread.remove("<23>")
    await inbox(page, unread, 24)
    await page.get_by_label("Unread only").uncheck()
    await expect(item(page, "<23>")).to_be_visible()
    await press(page, "Older").click()
    await inbox(page, ["newest", *names], 24)


async def test_muted_notifications_are_listed_as_read_and_updated_after_a_change(
    server: Server, page: Page, other: Page
) -> None:
    """A muted type is not pushed, so the tab does not know of it: it is listed when the list is read again."""
    for tab in (page, other):
        await open_page(tab, server.url)
    await alert(server, "before")
    await inbox(page, ["before"], 1)

    await item(page, "before").get_by_role("button", name="Mute").click()
    await expect(item(page, "before").get_by_role("button", name="Unmute")).to_be_visible()
    await alert(server, "hushed")
    await press(page, "Mark all read").click()
    await inbox(page, ["hushed", "before"], 0)
    await expect(item(page, "hushed")).to_contain_text("risk_alert · muted")
    await inbox(other, ["before"], 0)
    await both_show(page, ["before"])

    # A notification changed elsewhere must be shown although it was not before.
    await item(page, "hushed").get_by_role("button", name="Mark unread").click()
    await inbox(other, ["hushed", "before"], 1)
    await item(page, "hushed").get_by_role("button", name="Mark read").click()
    await inbox(other, ["hushed", "before"], 0)

    await publish(server, ORDERS, {"user_id": "alice", "side": "buy"})
    await inbox(page, ["order_executed", "hushed", "before"], 1)
    await page.get_by_text("Preferences", exact=True).click()
    await page.get_by_role("list", name="Muted types").get_by_role("button", name="Unmute").click()
    await expect(page.get_by_role("list", name="Muted types").get_by_role("listitem")).to_have_count(0)
    await alert(server, "heard")
    await inbox(page, ["heard", "order_executed", "hushed", "before"], 2)
    async with page.expect_response(lambda response: response.request.method == "PATCH"):
        await page.get_by_label("Show new notifications immediately").uncheck()
    await page.reload()
    await page.get_by_text("Preferences", exact=True).click()
    await expect(page.get_by_label("Show new notifications immediately")).not_to_be_checked()


async def test_the_inbox_is_kept_across_a_restart(
    start_server: StartServer, page: Page, other: Page, tmp_path: Path
) -> None:
    database = tmp_path / "herald.db"
    server = start_server({"DATABASE_URL": f"sqlite+aiosqlite:///{database}", "HERALD_DRAIN_SECONDS": "1"})
    names = [f"<{n:02}>" for n in range(12, 0, -1)]
    await alert(server, *reversed(names))
    await open_page(page, server.url)
    await inbox(page, names[:10], 12)
    await item(page, "<12>").get_by_role("button", name="Mark read").click()
    await inbox(page, names[:10], 11)

    assert server.stop() == 0
    await state(page, "reconnecting")
    await press(page, "Refresh").click()
    await expect(page.locator("#inbox-note")).to_have_text("Herald is unreachable.")
    server.start(ready=True)
    await state(page, "live")
    await open_page(other, server.url)
    for tab in (page, other):
        await inbox(tab, names[:10], 11)
        await expect(item(tab, "<12>").get_by_role("button", name="Mark unread")).to_be_visible()
        await expect(tab.locator("#inbox-note")).to_be_empty()
    await alert(server, "today")
    for tab in (page, other):
        await inbox(tab, ["today", *names[:10]], 12)
    await expect(column(page, "WebSocket")).not_to_contain_text("Gap")


async def test_a_restart_without_stored_state_is_a_gap_and_empties_the_inbox(
    start_server: StartServer, page: Page
) -> None:
    server = start_server({"DATABASE_URL": "memory:", "HERALD_DRAIN_SECONDS": "1"})
    await open_page(page, server.url)
    await alert(server, "one", "two")
    await inbox(page, ["two", "one"], 2)
    await both_show(page, ["two", "one"])

    assert server.stop() == 0
    await state(page, "reconnecting")
    server.start(ready=True)
    await state(page, "live")
    gap = "Gap: entries may be missing before this one"
    await both_show(page, [gap, "two", "one"])
    await inbox(page, [], 0, LATER)
    await alert(server, "another one")
    await both_show(page, ["another one", gap, "two", "one"])
    await inbox(page, ["another one"], 1)


async def test_with_tokens_the_page_shows_only_the_inbox_of_the_token(start_server: StartServer, page: Page) -> None:
    server = start_server({"HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET})
    watch = Watch(page)
    for user in ("alice", "bob"):
        event = {"user_id": user, "message": f"for {user}"}
        await publish(server, RISKS, event, token=token("shop", scope="events:publish"))
    await open_page(page, server.url)
    note = page.locator("#inbox-note")
    await expect(note).to_have_text("Connect with a token to see an inbox.")
    await expect(press(page, "Refresh")).to_be_hidden()

    shown = token("alice")
    await page.get_by_label("Token of the user").fill(shown)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await inbox(page, ["for alice"], 1)
    await expect(note).to_be_empty()
    await item(page, "for alice").get_by_role("button", name="Mark read").click()
    await inbox(page, ["for alice"], 0)
    asked = [url for url in watch.requests if "/api/" in url]
    assert asked
    assert not [url for url in asked if shown in url]

    # With a token of another user, only the inbox of that user is shown.
    await page.get_by_label("Token of the user").fill(token("bob"))
    await page.get_by_role("button", name="Connect", exact=True).click()
    await inbox(page, ["for bob"], 1)


async def test_nothing_overflows_on_a_phone(server: Server, browser: Browser) -> None:
    async with await browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        await alert(server, "x" * 300, "short")
        await open_page(page, server.url)
        await inbox(page, ["short", "x" * 300], 2)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        short = item(page, "short")
        for name in ("Mark read", "Archive", "Mute"):
            box = await short.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert box["height"] >= 40, f"{name} is too low for a thumb"
