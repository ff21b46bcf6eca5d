"""The JavaScript client: a burst in Node, the inbox store, and many tabs of one user in Chromium."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import BrowserContext
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.report import Row, alternate
from benchmarks.servers import Server, herald
from domain.protocol.herald_v1 import SUBPROTOCOL
from scripts.javascript import PACKAGE, node
from tests.support.pages import chromium

OBJECTS: Final = 100_000
OBJECTS_PER_FRAME: Final = 50
TABS: Final = 20
TIMEOUT_S: Final = 60.0

HELLO: Final = {
    "kind": "hello",
    "session": "s",
    "epoch": "e",
    "positions": {"inbox": 0},
    "cursor": "c",
    "heartbeat": 30,
    "resumed": False,
    "gap": [],
    "unread": 0,
    "unseen": 0,
}

CLIENT: Final = """
  import { createHerald } from "/client/index.js";
  window.herald = createHerald({ url: location.origin, user: "ada" });
"""


def missing_browser() -> str | None:
    """Returns why the benchmark with tabs cannot run on this machine; None if it can."""
    return None if os.environ.get("HERALD_CHROMIUM") or shutil.which("chromium") else "Chromium is not installed"


def missing_node() -> str | None:
    """Returns why the benchmarks with Node cannot run on this machine; None if they can."""
    return None if node() and (PACKAGE / "node_modules").exists() else "Node is not installed: `task setup-javascript`"


async def burst(rounds: int) -> list[Row]:
    async with _sender() as url:
        bare, client = await alternate(rounds, lambda: _objects("bare", url), lambda: _objects("client", url))
    what = f"a burst of {OBJECTS:,} objects in Node: the client vs a WebSocket and JSON.parse"
    return [Row(what, "/s", client, bare, "≥", 0.5)]


async def store(rounds: int) -> list[Row]:
    runs = [json.loads(await _run_node("--expose-gc", "benchmarks/store.js")) for _ in range(rounds)]
    few_us, many_us, array, kept = (
        [run[name] for run in runs] for name in ("few_us", "many_us", "array_bytes", "store_bytes")
    )
    return [
        Row("one change among 10,000 notifications in the store, vs among 100", "µs", many_us, few_us, "≤", 2),
        Row("heap of 10,000 notifications in the store, vs in an array", "B", kept, array, "≤", 1.5),
    ]


async def tabs(rounds: int) -> list[Row]:
    sessions = [await _sessions_of_tabs() for _ in range(rounds)]
    return [Row(f"{TABS} tabs of one user: sessions at the server", "", sessions, None, "≤", 1, "value")]


async def _objects(how: str, url: str) -> float:
    """Returns the objects per second that Node receives."""
    return float(await _run_node("benchmarks/burst.js", how, url, str(OBJECTS)))


async def _run_node(*arguments: str) -> str:
    program = node()
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=PACKAGE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(TIMEOUT_S):
        output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"Node has failed: {errors.decode()}")
    return output.decode()


@asynccontextmanager
async def _sender() -> AsyncIterator[str]:
    """A server that sends the same notifications to each client, as fast as the client reads them."""
    objects = [
        {
            "kind": "notification",
            "stream": "inbox",
            "seq": number,
            "id": f"id-{number}",
            "event_id": f"event-{number}",
            "type": "risk_alert",
            "source": "risk-events",
            "title": "Risk alert",
            "message": "Position limit is near",
            "data": {"user_id": "ada", "severity": "high", "number": number},
            "time": "2026-03-01T12:00:00Z",
            "read": False,
            "unread": number,
            "unseen": number,
        }
        for number in range(1, OBJECTS + 1)
    ]
    frames = [
        "\n".join(map(json.dumps, objects[first : first + OBJECTS_PER_FRAME]))
        for first in range(0, OBJECTS, OBJECTS_PER_FRAME)
    ]

    async def send(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps(HELLO))
        for frame in frames:
            await connection.send(frame)
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def _sessions_of_tabs() -> int:
    async with (
        herald(HERALD_PROFILE="trading", HERALD_ORIGINS="*") as server,
        chromium() as browser,
        await browser.new_context() as context,
    ):
        for _ in range(TABS):
            await _open_tab(server, context)
        _, text = await server.request("GET", "/metrics")
        return int(json.loads(text)["sessions"]["open"])


async def _open_tab(server: Server, context: BrowserContext) -> None:
    """Opens a page with a client, and waits until the client is live."""
    tab = await context.new_page()
    await tab.goto(f"http://127.0.0.1:{server.port}/health/live")
    await tab.add_script_tag(content=CLIENT, type="module")
    await tab.wait_for_function("window.herald?.state.state === 'live'", timeout=TIMEOUT_S * 1000)
