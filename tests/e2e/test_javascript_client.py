"""The JavaScript client in a real Chromium, loaded from a real server."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.e2e.conftest import StartServer
from tests.support.clients import publish, token
from tests.support.pages import IN_BROWSER_LOOP, SOON, Watch
from tests.support.server import SECRET, Server

pytestmark = IN_BROWSER_LOOP

CLIENTS_PAGE: Final = Path(__file__).parents[2] / "docs" / "clients.md"

SCRIPT = """
  import { createHerald } from "/client/index.js";
  const herald = (window.herald = createHerald({ url: location.origin, user: "USER" }));
  window.shown = [];
  window.gaps = [];
  herald.on("notification", ({ message }) => shown.push(message));
  herald.on("gap", ({ streams }) => gaps.push(...streams));
  herald.inbox.subscribe(() => {});
"""

LISTED = "[...herald.inbox.getSnapshot().items].map((item) => item.message).reverse()"


async def open_tab(context: BrowserContext, server: Server, user: str) -> Page:
    """Open a page that has a client of this user, and wait until it is connected."""
    tab = await context.new_page()
    await load(tab, server, user)
    return tab


async def load(tab: Page, server: Server, user: str) -> None:
    # Any page of the server: a page that the test itself answers may not open WebSockets to loopback.
    await tab.goto(f"{server.url}/health/live")
    await tab.add_script_tag(content=SCRIPT.replace("USER", user), type="module")
    await reaches(tab, "window.herald?.state.transport", "websocket")


async def reaches(tab: Page, expression: str, expected: object, seconds: float = 20) -> None:
    """Wait until an expression has this value."""
    value: object = None
    try:
        async with asyncio.timeout(seconds):
            while (value := await tab.evaluate(expression)) != expected:
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"{expression} is {value}, not {expected}; the client is {await tab.evaluate('herald.state')}")


async def notify(server: Server, user: str, *messages: str) -> None:
    await publish(server, "risk-events", *({"user_id": user, "message": message} for message in messages))


async def sessions(server: Server) -> int:
    """Return how many clients are connected to the server."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{server.url}/metrics", headers={"accept": "text/plain"})).text
    return sum(int(float(count)) for count in re.findall(r"^herald_sessions_open\{.*\} (.*)$", text, re.MULTILINE))


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Tabs with a storage of their own."""
    async with await browser.new_context() as context:
        yield context


async def test_a_page_survives_restarts_of_the_server_and_of_itself(
    start_server: StartServer, context: BrowserContext
) -> None:
    server = start_server()
    await notify(server, "ada", "before")
    tab = await open_tab(context, server, "ada")
    watch = Watch(tab)
    await notify(server, "ada", "one", "two")
    await reaches(tab, "shown", ["one", "two"])
    await reaches(tab, LISTED, ["before", "one", "two"])

    server.kill()
    await reaches(tab, "herald.state.state !== 'live'", True)
    server.start(ready=True)
    await notify(server, "ada", "three")
    await reaches(tab, "shown", ["one", "two", "three"])
    await reaches(tab, LISTED, ["before", "one", "two", "three"])
    assert await tab.evaluate("gaps") == []

    await tab.goto("about:blank")
    await notify(server, "ada", "four")
    await load(tab, server, "ada")
    await reaches(tab, "window.shown", ["four"])
    await reaches(tab, LISTED, ["before", "one", "two", "three", "four"])

    await tab.evaluate("herald.inbox.markSeen()")
    await reaches(tab, "herald.inbox.getSnapshot().unseen", 0)
    await tab.evaluate("herald.inbox.markAllRead()")
    await reaches(tab, "herald.inbox.getSnapshot().unread", 0)
    await tab.evaluate("herald.signOut()")
    assert await tab.evaluate("[herald.state.state, herald.inbox.getSnapshot().items.length]") == ["stopped", 0]
    # Chromium reports each connection that the server does not accept.
    assert [text for text in watch.complaints if "ERR_CONNECTION" not in text] == []


async def test_tabs_share_one_connection_and_another_one_takes_over(
    dev_server: Server, context: BrowserContext
) -> None:
    first, second = [await open_tab(context, dev_server, "bob") for _ in range(2)]
    assert await sessions(dev_server) == 1
    await notify(dev_server, "bob", "one")
    for tab in (first, second):
        await reaches(tab, "shown", ["one"])

    await second.bring_to_front()
    await asyncio.gather(first.close(), notify(dev_server, "bob", "two", "three"))
    await notify(dev_server, "bob", "four")
    await reaches(second, "shown", ["one", "two", "three", "four"], seconds=3)
    third = await open_tab(context, dev_server, "bob")
    await reaches(third, LISTED, ["one", "two", "three", "four"])
    await second.evaluate("herald.inbox.markAllRead()")
    for tab in (second, third):
        await reaches(tab, "herald.inbox.getSnapshot().unread", 0)
    assert await sessions(dev_server) == 1

    await third.evaluate("herald.signOut()")
    await reaches(second, "herald.state.state", "stopped")


async def test_no_tab_misses_anything_while_the_leader_hangs_crashes_or_is_offline(
    dev_server: Server, context: BrowserContext
) -> None:
    tabs = [await open_tab(context, dev_server, "cleo") for _ in range(3)]
    sent: list[str] = []

    async def notify_more() -> None:
        for _ in range(5):
            messages = [f"m{len(sent) + number}" for number in range(20)]
            sent.extend(messages)
            await notify(dev_server, "cleo", *messages)

    await tabs[1].bring_to_front()
    hanging = asyncio.create_task(tabs[0].evaluate("const end = Date.now() + 5000; while (Date.now() < end);"))
    await notify_more()
    # Asked each second; the second question that is not answered within 0.4 s ends the wait.
    for tab in tabs[1:]:
        await reaches(tab, "shown.length", len(sent), seconds=4.5)
    await hanging
    await notify_more()
    for tab in tabs:
        await reaches(tab, "shown", sent)

    devtools = await context.new_cdp_session(tabs[1])
    crash = asyncio.create_task(devtools.send("Page.crash"))
    await notify_more()
    left = [tabs[0], tabs[2]]
    for tab in left:
        await reaches(tab, "shown", sent, seconds=3)
    crash.cancel()
    await tabs[1].close()

    await context.set_offline(True)
    for tab in left:
        await reaches(tab, "herald.state.state", "offline")
    await notify_more()
    await context.set_offline(False)
    for tab in left:
        await reaches(tab, "shown", sent)
        assert await tab.evaluate("gaps") == []
    assert await sessions(dev_server) == 1


async def test_the_example_of_the_documentation_shows_the_inbox(start_server: StartServer, page: Page) -> None:
    server = start_server({"HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET})
    example = CLIENTS_PAGE.read_text(encoding="utf-8").partition("```html\n")[2].partition("</script>")[0]
    markup, _, script = example.replace("https://herald.example", server.url).partition('<script type="module">')

    async def give_token(route: Route) -> None:
        await route.fulfill(body=token("kim"))

    await page.route("**/token", give_token)
    await page.goto(f"{server.url}/health/live")
    await page.evaluate("markup => (document.body.innerHTML = markup)", markup)
    await page.add_script_tag(content=script, type="module")
    publisher = token("publisher", scope="events:publish")
    await publish(server, "risk-events", {"user_id": "kim", "message": "one"}, token=publisher)
    await expect(page.get_by_role("listitem")).to_have_text(["Risk alert"], timeout=SOON)
