"""Servers for end-to-end tests, killed after the test or the module with their logs shown if it failed, and a browser
that all tests of a session share.

Tests that use the browser run in the event loop of the session, in which it was started: they are marked with
`IN_BROWSER_LOOP`.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.pages import chromium
from tests.support.server import Server

StartServer = Callable[..., Server]


@contextmanager
def _servers() -> Iterator[StartServer]:
    servers: list[Server] = []

    def start(env: Mapping[str, str] | None = None, command: Sequence[str] = ("dev",), *, ready: bool = True) -> Server:
        server = Server(env, command)
        servers.append(server)
        return server.start(ready)

    try:
        yield start
    finally:
        for server in servers:
            server.kill()
            print(server.log[-20_000:])


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Starts servers: `start_server(env, command)`."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_server() -> Iterator[StartServer]:
    """Starts servers as `start_server` does, for all tests of a module."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="module")
def dev_server(start_shared_server: StartServer) -> Server:
    """One `herald dev` for all tests of a module that leave no state behind that could affect others."""
    return start_shared_server()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page with its own cookies, cache and storage."""
    async with await browser.new_page() as page:
        yield page
