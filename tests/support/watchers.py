"""Clients that note all they are shown of a load."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.support.load import FEED, Load, same
from tests.support.server import Server

INBOX: Final = "inbox"


class Watcher(ABC):
    """Follows the inbox of a user, and the feed. `seen` are the numbers that came, by stream, in their order."""

    def __init__(self, server: Server, user: str) -> None:
        self.user = user
        self.seen: dict[str, list[int]] = {INBOX: [], FEED: []}
        self.connected = asyncio.Event()
        self._address = f"{server.ws_url}/ws?user_id={user}"

    def has_everything(self, load: Load) -> bool:
        return all(len(numbers) >= len(self.expected(load)[stream]) for stream, numbers in self.seen.items())

    def expected(self, load: Load) -> dict[str, list[int]]:
        return {INBOX: load.expected[self.user], FEED: list(range(load.published))}

    def check(self, load: Load) -> None:
        if not load.is_ordered:
            self.seen[FEED].sort()
        for stream, numbers in self.expected(load).items():
            same(self.seen[stream], numbers, f"what {type(self).__name__} {self.user} saw of {stream}")

    @abstractmethod
    async def run(self) -> None:
        """Never returns."""


class Plain(Watcher):
    """Speaks no protocol: it cannot resume, and so must not be sent away for anything that it has no part in."""

    async def run(self) -> None:
        async with connect(self._address, ping_interval=None) as socket:
            self.connected.set()
            async for text in socket:
                shown = json.loads(text)
                if "broadcastTimestamp" in shown:
                    self.seen[FEED].append(shown["n"])
                else:
                    self.seen[INBOX].append(shown["data"]["n"])
        raise AssertionError(f"{self.user} was sent away with {socket.close_code} {socket.close_reason}")


class Follower(Watcher):
    """Speaks `herald.v1`: it comes back whenever it is sent away or cut off, and goes on from where it was."""

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server, user)
        self.seqs: dict[str, list[int]] = {INBOX: [], FEED: []}
        self.connections = 0
        self._resume: dict[str, Any] = {}

    async def run(self) -> None:
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(self._address, subprotocols=["herald.v1"], ping_interval=None) as socket:
                    await socket.send(json.dumps({"resume": self._resume}))
                    async for text in socket:
                        for line in str(text).split("\n"):
                            self._take(json.loads(line))
            await asyncio.sleep(0.1)

    def _take(self, entry: Any) -> None:
        match entry["kind"]:
            case "hello":
                assert entry["gap"] == [], entry
                if self._resume:
                    assert entry["resumed"] is True, entry
                    assert entry["positions"] == self._resume["positions"]
                self._resume = {"epoch": entry["epoch"], "positions": entry["positions"]}
                self.connections += 1
                self.connected.set()
            case "notification" | "broadcast":
                stream = entry["stream"]
                self.seen[stream].append(entry["data"]["n"])
                self.seqs[stream].append(entry["seq"])
                self._resume["positions"][stream] = entry["seq"]
            case kind:
                assert kind in ("heartbeat", "bye"), entry

    def check(self, load: Load) -> None:
        super().check(load)
        for stream, seqs in self.seqs.items():
            same(seqs, list(range(1, len(seqs) + 1)), f"the positions that {self.user} saw in {stream}")


@asynccontextmanager
async def alongside(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs them until the end of the block, which ends with the first of them that fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in endless]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def connected(*watchers: Watcher) -> AsyncIterator[None]:
    """All of them are there before the block begins."""
    async with alongside(*(watcher.run() for watcher in watchers)):
        async with asyncio.timeout(20):
            await asyncio.gather(*(watcher.connected.wait() for watcher in watchers))
        yield
