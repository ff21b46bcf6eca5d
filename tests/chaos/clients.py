"""Clients that reconnect after every fault and record what they receive."""

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
from tests.chaos.audit import Audit, audit_stream
from tests.support.clients import Stream
from tests.support.load import FEED
from tests.support.server import Server
from tests.support.watchers import INBOX

# Between two attempts of a plain client to connect.
RECONNECT_INTERVAL_S: Final = 0.5

Spans = dict[str, list[list[int]]]


class Client(ABC):
    """Follows a user's inbox and the feed.

    `latency` is the longest time from publishing an event until this client received it, in seconds. `gaps` counts
    the gaps that the client was notified of, `repeats` the entries that the client library dropped as duplicates.
    """

    def __init__(self, nodes: Sequence[Server], number: int, user: str, published: dict[int, float]) -> None:
        self.user = user
        self.latency = 0.0
        self.gaps = self.repeats = 0
        self.connected = asyncio.Event()
        self._longest_offline = 0.0
        self._nodes = nodes
        self._node_index = number
        self._published = published
        self._spans: Spans = {INBOX: [[]], FEED: [[]]}
        self._offline_since: float | None = None

    @abstractmethod
    async def run(self) -> None:
        """Never returns."""

    def audit(self, stored: dict[str, list[int]]) -> Audit:
        inbox = audit_stream(self._spans[INBOX], stored.get(self.user, []))
        feed = audit_stream(self._spans[FEED], stored.get(FEED, []))
        return inbox + feed + Audit(duplicated=self.repeats)

    def has_everything(self, stored: dict[str, list[int]]) -> bool:
        """Whether the last entry of each stream was received, or may have been stored before a plain client, which has
        received nothing since, reconnected."""
        streams = ((self._spans[INBOX], stored.get(self.user, [])), (self._spans[FEED], stored.get(FEED, [])))
        return all(spans[-1][-1:] == numbers[-1:] or (len(spans) > 1 and not spans[-1]) for spans, numbers in streams)

    @property
    def longest_offline(self) -> float:
        """The longest time without a session so far, in seconds, the present one included."""
        current = 0.0 if self._offline_since is None else time.monotonic() - self._offline_since
        return max(self._longest_offline, current)

    def _record(self, stream: str, number: int) -> None:
        self._spans[stream][-1].append(number)
        self.latency = max(self.latency, time.monotonic() - self._published[number])

    def _record_plain(self, message: Any) -> None:
        """Records a message in the format of plain clients."""
        if "broadcastTimestamp" in message:
            self._record(FEED, message["n"])
        else:
            self._record(INBOX, message["data"]["n"])

    def _set_connected(self) -> None:
        self._longest_offline = self.longest_offline
        self._offline_since = None
        self.connected.set()

    def _set_disconnected(self) -> None:
        self.connected.clear()
        if self._offline_since is None:
            self._offline_since = time.monotonic()

    def _next_node(self) -> Server:
        self._node_index += 1
        return self._nodes[self._node_index % len(self._nodes)]


class PlainSocket(Client):
    """A plain WebSocket, which cannot resume: each connection starts a new span."""

    async def run(self) -> None:
        while True:
            address = f"{self._next_node().ws_url}/ws?user_id={self.user}"
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(address, ping_interval=None, close_timeout=1, open_timeout=5) as socket:
                    self._set_connected()
                    async for text in socket:
                        self._record_plain(json.loads(text))
            self._set_disconnected()
            for spans in self._spans.values():
                spans.append([])
            await asyncio.sleep(RECONNECT_INTERVAL_S)


class EventSource(Client):
    """A plain event stream that resumes with the id of the last event, as a browser does."""

    async def run(self) -> None:
        last_id = ""
        while True:
            node = self._next_node()
            headers = {"last-event-id": last_id} if last_id else {}
            # No read timeout, as in a browser: the stream of a frozen node stands still until the node is thawed.
            # `verify=False`: without TLS there is nothing to verify, and loading certificates would block the event
            # loop for 30 ms.
            timeout = httpx.Timeout(5, read=None)
            async with httpx.AsyncClient(base_url=node.url, timeout=timeout, verify=False) as http:
                with suppress(httpx.HTTPError, StopAsyncIteration, TimeoutError):
                    path = f"/events/stream?user_id={self.user}"
                    async with http.stream("GET", path, headers=headers) as response:
                        response.raise_for_status()
                        events = Stream(response)
                        while True:
                            last_id, message = await events.next(3600)
                            match message.get("type"):
                                case "connection":
                                    self._set_connected()
                                    self.gaps += len(message.get("gap", ()))
                                case "heartbeat":
                                    pass
                                case _:
                                    self._record_plain(message)
            self._set_disconnected()
            await asyncio.sleep(RECONNECT_INTERVAL_S)


class Follower(Client):
    """A `herald.v1` client that resumes at any node."""

    async def run(self) -> None:
        first = self._next_node()
        urls = [first.ws_url, *(node.ws_url for node in self._nodes if node is not first)]
        async with Listener(urls, user=self.user) as listener:
            async for item in listener:
                self.repeats = listener.repeats
                match item:
                    case Hello():
                        self._set_connected()
                        self.gaps += len(item.gap)
                    case Away():
                        self._set_disconnected()
                    case Gap():
                        self.gaps += 1
                    case Notification() | Broadcast():
                        self._record(item.stream, item.data["n"])
