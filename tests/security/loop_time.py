"""A Herald server in this process, on an event loop that measures its CPU time."""

import asyncio
import threading
import time
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Self, TypeVar

import httpx
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server as Granian

from adapters.sockets.direct_send import with_direct_send
from entrypoints.app import create_app
from entrypoints.settings.loader import load
from tests.support.service import free_port

T = TypeVar("T")

PATIENCE_S: Final = 60.0


class MeasuredLoop(BaseSelectorEventLoop):
    """Records the longest CPU time in ms that its thread spent in one iteration, between two polls for I/O."""

    longest_ms = 0.0

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()
        self.longest_ms = max(self.longest_ms, (time.thread_time() - began) * 1000)


class MeasuredServer:
    """`herald serve` under Granian with these settings, in its own thread. Use clients in other threads only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.loop = MeasuredLoop()
        self._settings = load(
            {"DATABASE_URL": "memory:", "HERALD_HOST": "127.0.0.1", "HERALD_PORT": str(self.port), **environ},
            "serve",
            {},
        )
        self._thread = threading.Thread(target=self._run, name="the server", daemon=True)
        self._end = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not self._is_ready():
            assert self._thread.is_alive(), "Herald ended by itself"
            assert time.monotonic() < deadline, "Herald is not ready"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_S)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on the event loop of the server. Returns its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    async def provided(self, kind: type[T]) -> T:
        """Return an object from the application's container."""
        found: T = await self._app.state.dishka_container.get(kind)
        return found

    def _is_ready(self) -> bool:
        try:
            return httpx.get(self.url + "/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        self._app = create_app(self._settings)
        server = Granian(
            with_direct_send(self._app),
            address="127.0.0.1",
            port=self.port,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            runtime_threads=1,
            log_enabled=False,
        )
        serving = asyncio.create_task(server.serve())
        await self._end.wait()
        server.stop()
        await serving
