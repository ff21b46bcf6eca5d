"""Herald's page in a real Chromium, for tests."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

from tests.support.server import Server

# The mark of tests that use the browser: they run in the event loop in which the browser was started.
IN_BROWSER_LOOP: Final = pytest.mark.asyncio(loop_scope="session")

# Timeouts in milliseconds: of an arrival after a click, and of a reconnect with its backoff. An arrival takes
# milliseconds; the timeout allows for a busy machine.
SOON = 10_000
LATER = 20_000

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    path = os.environ.get("HERALD_CHROMIUM") or shutil.which("chromium")
    if path is None:
        required = os.environ.get("HERALD_REQUIRE_REAL") == "1"
        (pytest.fail if required else pytest.skip)("needs Chromium: install it, or say where in HERALD_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        await browser.close()


class Watch:
    """Records the requests of a page, and the errors that it logs."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


async def reset_user(server: Server, user: str = "alice") -> None:
    """Empty the inbox of a user and reset the preferences. The default is the user that the page uses first."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20, params={"user_id": user}) as client:
        (await client.delete("/api/v2/notifications/clear-all")).raise_for_status()
        preferences = {"websocket_notifications": True, "muted_types": []}
        (await client.patch("/api/v2/preferences", json=preferences)).raise_for_status()


async def open_page(page: Page, url: str) -> None:
    await page.goto(url)
    await state(page, "live")


async def state(page: Page, word: str, within: int = LATER) -> None:
    """Wait until both clients of the page are in this state."""
    for client in ("WebSocket", "SSE"):
        await expect(column(page, client).locator(".state b")).to_have_text(word, timeout=within)


def column(page: Page, client: str) -> Locator:
    return page.get_by_role("region", name=client, exact=True)


def send(page: Page, title: str) -> Locator:
    return page.get_by_role("button", name=title, exact=True)


async def both_show(page: Page, texts: list[str], within: int = SOON) -> None:
    """Wait until both clients show exactly these entries, newest first."""
    for client in ("WebSocket", "SSE"):
        await expect(column(page, client).get_by_role("listitem")).to_contain_text(texts, timeout=within)
        await expect(column(page, client).get_by_role("listitem")).to_have_count(len(texts), timeout=within)
