"""A service of a node that runs one coroutine function in the background."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from application.ports.service import Phase, Service


class BackgroundTask(Service):
    """A service that runs one coroutine function in the background, until the function returns or the service is
    stopped."""

    def __init__(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]], phase: Phase = Phase.MAINTENANCE
    ) -> None:
        self.name = name
        self.phase = phase
        self._run = run
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
