"""Clients that record all events of a load that they receive."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from websockets.asyncio.client import connect

from herald_client import Away, Backoff, Broadcast, Hello, Item, Listener, Notification
from tests.support.load import FEED, Load, same
from tests.support.server import Server

INBOX: Final = "inbox"


class Watcher(ABC):
    """Follows the inbox of a user and the feed. `seen` maps each stream to the received numbers in order."""

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
        """Run until cancelled."""


class Plain(Watcher):
    """A plain client. It cannot resume, so a test fails if it is closed by a fault that does not affect its node."""

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
    """A client that reconnects and resumes after every close or fault, as real programs do."""

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server, user)
        self.seqs: dict[str, list[int]] = {INBOX: [], FEED: []}
        self.connections = 0
        self._places: dict[str, int] = {}

    async def run(self) -> None:
        async with Listener(self._address, backoff=Backoff(0.1, 0.2)) as listener:
            async for item in listener:
                self._take(item)
                assert listener.repeats == 0, f"{self.user} was sent something again at or before {item}"

    def _take(self, item: Item) -> None:
        match item:
            case Hello():
                assert item.gap == (), item
                if self.connections:
                    assert item.resumed, item
                    assert item.positions == self._places
                self._places = dict(item.positions)
                self.connections += 1
                self.connected.set()
            case Notification() | Broadcast():
                self.seen[item.stream].append(item.data["n"])
                self.seqs[item.stream].append(item.seq)
                self._places[item.stream] = item.seq
            case _:
                assert isinstance(item, Away), item

    def check(self, load: Load) -> None:
        super().check(load)
        for stream, seqs in self.seqs.items():
            same(seqs, list(range(1, len(seqs) + 1)), f"the positions that {self.user} saw in {stream}")


@asynccontextmanager
async def alongside(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run the clients until the end of the block. If one fails, the block ends with that error."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in endless]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def connected(*watchers: Watcher) -> AsyncIterator[None]:
    """Wait until all clients are connected, then enter the block."""
    async with alongside(*(watcher.run() for watcher in watchers)):
        async with asyncio.timeout(20):
            await asyncio.gather(*(watcher.connected.wait() for watcher in watchers))
        yield
