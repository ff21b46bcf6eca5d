"""Servers for end-to-end tests, stopped after each test with the log shown if it failed, and a browser."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

import pytest
from playwright.async_api import Browser, Page

from tests.support.pages import chromium
from tests.support.server import Server

StartServer = Callable[..., Server]


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Starts servers: `start_server(env, command)`."""
    servers: list[Server] = []

    def start(env: Mapping[str, str] | None = None, command: Sequence[str] = ("dev",), *, ready: bool = True) -> Server:
        server = Server(env, command)
        servers.append(server)
        return server.start(ready)

    yield start
    for server in servers:
        server.kill()
        print(server.log[-20_000:])


@pytest.fixture(scope="module")
def dev_server() -> Iterator[Server]:
    """One `herald dev` for all tests of a module that leave no state behind that could affect others."""
    server = Server().start(ready=True)
    yield server
    server.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await browser.new_page()
