"""Clients of the trials: whatever happens to their node, they come back, and note all that they are shown."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from herald_client import Away, Broadcast, Gap, Hello, Listener, Notification
from tests.chaos.account import Account, judge
from tests.support.clients import Stream
from tests.support.load import FEED
from tests.support.server import Server
from tests.support.watchers import INBOX

# Seconds between two attempts to connect of a client that has no word on that from the server.
PAUSE: Final = 0.5

Spans = dict[str, list[list[int]]]


class Client(ABC):
    """Follows a user's inbox, and the feed. `away` is the longest time that it had no session, `late` the longest from
    an event's publication until it was shown, both in seconds; `gaps` is how often it was told that something is
    missing, `repeats` what came again and was dropped unseen."""

    def __init__(self, nodes: Sequence[Server], number: int, user: str, published: dict[int, float]) -> None:
        self.user = user
        self.away = self.late = 0.0
        self.gaps = self.repeats = 0
        self.here = asyncio.Event()
        self._nodes = nodes
        self._at = number
        self._published = published
        self._spans: Spans = {INBOX: [[]], FEED: [[]]}
        self._lost_at: float | None = None

    @abstractmethod
    async def run(self) -> None:
        """Never returns."""

    def account(self, kept: dict[str, list[int]]) -> Account:
        streams = judge(self._spans[INBOX], kept.get(self.user, [])) + judge(self._spans[FEED], kept.get(FEED, []))
        return streams + Account(twice=self.repeats)

    def has_everything(self, kept: dict[str, list[int]]) -> bool:
        """Whether the last of each stream has come; or may have gone by, since it was cut off and nothing came then."""
        ends = ((self._spans[INBOX], kept.get(self.user, [])), (self._spans[FEED], kept.get(FEED, [])))
        return all(spans[-1][-1:] == numbers[-1:] or (len(spans) > 1 and not spans[-1]) for spans, numbers in ends)

    @property
    def seconds_away(self) -> float:
        """The longest so far, the present one included."""
        now = 0.0 if self._lost_at is None else time.monotonic() - self._lost_at
        return max(self.away, now)

    def _shown(self, stream: str, number: int) -> None:
        self._spans[stream][-1].append(number)
        self.late = max(self.late, time.monotonic() - self._published[number])

    def _arrived(self) -> None:
        self.away = self.seconds_away
        self._lost_at = None
        self.here.set()

    def _cut_off(self) -> None:
        self.here.clear()
        if self._lost_at is None:
            self._lost_at = time.monotonic()

    def _next_node(self) -> Server:
        self._at += 1
        return self._nodes[self._at % len(self._nodes)]

    def _noted(self, shown: Any) -> None:
        """A message as plain clients see it."""
        if "broadcastTimestamp" in shown:
            self._shown(FEED, shown["n"])
        else:
            self._shown(INBOX, shown["data"]["n"])


class PlainSocket(Client):
    """Can't resume: it knows that it was cut off, and begins anew elsewhere."""

    async def run(self) -> None:
        while True:
            address = f"{self._next_node().ws_url}/ws?user_id={self.user}"
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(address, ping_interval=None, close_timeout=1, open_timeout=5) as socket:
                    self._arrived()
                    async for text in socket:
                        self._noted(json.loads(text))
            self._cut_off()
            for spans in self._spans.values():
                spans.append([])
            await asyncio.sleep(PAUSE)


class EventSource(Client):
    """A plain event stream, as a browser keeps it up: by the id of the last event."""

    async def run(self) -> None:
        last_id = ""
        while True:
            node = self._next_node()
            headers = {"last-event-id": last_id} if last_id else {}
            # A browser reads for as long as it takes; a frozen node's stream stands still until it is thawed. Without
            # TLS there is nothing to verify, and getting ready for it would take 30 ms of everybody's time.
            patience = httpx.Timeout(5, read=None)
            async with httpx.AsyncClient(base_url=node.url, timeout=patience, verify=False) as http:
                with suppress(httpx.HTTPError, StopAsyncIteration, TimeoutError):
                    path = f"/events/stream?user_id={self.user}"
                    async with http.stream("GET", path, headers=headers) as response:
                        response.raise_for_status()
                        events = Stream(response)
                        while True:
                            last_id, shown = await events.next(3600)
                            match shown.get("type"):
                                case "connection":
                                    self._arrived()
                                    self.gaps += len(shown.get("gap", ()))
                                case "heartbeat":
                                    pass
                                case _:
                                    self._noted(shown)
            self._cut_off()
            await asyncio.sleep(PAUSE)


class Follower(Client):
    """Listens as a program does: it goes on from its place, at any node."""

    async def run(self) -> None:
        first = self._next_node()
        urls = [first.ws_url, *(node.ws_url for node in self._nodes if node is not first)]
        async with Listener(urls, user=self.user) as listener:
            async for item in listener:
                self.repeats = listener.repeats
                match item:
                    case Hello():
                        self._arrived()
                        self.gaps += len(item.gap)
                    case Away():
                        self._cut_off()
                    case Gap():
                        self.gaps += 1
                    case Notification() | Broadcast():
                        self._shown(item.stream, item.data["n"])
