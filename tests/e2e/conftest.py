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

from tests.support import server
from tests.support.pages import chromium
from tests.support.server import Server

StartServer = Callable[..., Server]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module that declares LISTENERS at each of these listeners, except those that are marked as
    `http_only`."""
    listeners = getattr(metafunc.module, "LISTENERS", None)
    if listeners and metafunc.definition.get_closest_marker("http_only") is None:
        metafunc.parametrize("listener", listeners, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def listener(request: pytest.FixtureRequest) -> Iterator[str]:
    """Has the servers of a module accept the WebSockets of tests at this listener."""
    before = server.LISTENER_OF_TESTS
    server.LISTENER_OF_TESTS = getattr(request, "param", before)
    yield server.LISTENER_OF_TESTS
    server.LISTENER_OF_TESTS = before


@contextmanager
def _servers() -> Iterator[StartServer]:
    servers: list[Server] = []

    def start(env: Mapping[str, str] | None = None, command: Sequence[str] = ("dev",), *, ready: bool = True) -> Server:
        started = Server(env, command)
        servers.append(started)
        return started.start(ready)

    try:
        yield start
    finally:
        for started in servers:
            started.kill()
            print(started.log[-20_000:])


@pytest.fixture
def start_server(listener: str) -> Iterator[StartServer]:
    """Starts servers: `start_server(env, command)`."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_server(listener: str) -> Iterator[StartServer]:
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
