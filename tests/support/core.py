"""Helpers for tests of the domain and the application: routes, messages, a manual clock, an in-memory node, its
clients."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings

from adapters.clock import Uuid7Factory
from adapters.memory.backplane import Bus, MemoryBackplane
from adapters.memory.presence import MemoryPresence, Roll
from adapters.memory.shared_records import Limits, MemoryRecords
from adapters.memory.store import MemoryStore
from application.access.identify import IdentifyCaller
from application.counters import Counters
from application.hub.hub import Hub
from application.hub.policy import HubPolicy, SessionPolicy
from application.hub.session import Session
from application.hub.session_request import ConnectRequest
from application.live.followable_streams import FollowableStreams
from application.live.open_session import OpenSession
from application.live.session_commands import ClientCommands, CommandPolicy
from application.ports.backplane import Backplane
from application.ports.presence import Presence
from application.ports.store import Recorded, Store, StoreUnavailable
from application.routes_in_force import RoutesInForce
from domain.broker_messages import NO_HEADERS, Message
from domain.endpoints import Endpoint
from domain.identity import NOBODY, Identity
from domain.planning import plan
from domain.plans import Plan
from domain.positions import Head
from domain.route_table import RouteTable
from domain.routes_file import read_profile
from domain.streams import Content, Entry, SignOut, StreamName
from entrypoints.channels import CHANNELS
from entrypoints.profiles.backward_compatibility import compatibility
from entrypoints.profiles.loader import shipped

# No deadline: the running time of an example depends more on the machine than on the code.
settings.register_profile("herald", deadline=None)
settings.load_profile("herald")

# The outbound channels that the tests' routes can use, unless a test chooses others.
ROUTE_CHANNELS = [channel.table for channel in CHANNELS]

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

ROUTES = """
profile = "trading"
[feeds.news]
access = "public"
[feeds.staff]
access = "signed-in"
[feeds.secret]
access = "scope:secrets"
[[routes]]
source = "news"
feed = "news"
envelope = "typed"
[[routes]]
source = "staff"
feed = "staff"
envelope = "typed"
[[routes]]
source = "secret"
feed = "secret"
envelope = "typed"
[[routes]]
source = "direct"
users = ["to"]
envelope = "typed"
[[routes]]
source = "bye"
sign_out = "user_id"
"""

# Sessions do not wait for a first command, and retry after a short delay if the store is unavailable.
IMPATIENT = HubPolicy(session=SessionPolicy(first_command_timeout_s=0.0, store_retry_s=0.001))

PLAIN = Endpoint(name="trading", path="/trading", transport="ws", profile="trading", inbox="profile")
STREAM = Endpoint(name="products", path="/products", transport="sse", profile="trading", inbox="all")
PLAIN_ALL = Endpoint(name="plain", path="/plain", transport="ws", profile="trading", inbox="all")


def table(text: str = ROUTES) -> RouteTable:
    return RouteTable((read_profile(text, "routes.toml", ROUTE_CHANNELS),))


def shipped_table(*names: str) -> RouteTable:
    """Return the routes of the shipped profiles with these names, with the endpoints that Herald ships."""
    return RouteTable(shipped(names), compatibility().endpoints)


def in_force(text: str = ROUTES) -> RoutesInForce:
    return RoutesInForce(table(text))


def message(
    source: str,
    payload: Any,
    id: str = "m-1",
    *,
    time: datetime = NOW,
    headers: dict[str, str] | None = None,
) -> Message:
    """Return a broker record. Text and bytes are used unchanged as the body."""
    body = payload.encode() if isinstance(payload, str) else payload
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Message(source, body, time, id, headers or NO_HEADERS)


class HandClock:
    """A clock that advances only when `turn` is called."""

    def __init__(self) -> None:
        self.time = NOW
        self.passed = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.passed

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.passed += seconds


class FaultyStore(MemoryStore):
    """A memory store whose next calls raise StoreUnavailable, as many as the test sets."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.records = MemoryRecords(Uuid7Factory(), limits)
        super().__init__(self.records)
        self.away = 0
        self.calls: list[str] = []

    def _pass(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            self.away -= 1
            raise StoreUnavailable("it is away")

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        self._pass("record")
        return await super().record(plans, now)

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        self._pass("heads")
        return await super().heads(streams)

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> Any:
        self._pass("arrivals")
        return await super().arrivals(stream, after, limit)

    async def changes(self, stream: StreamName, after: int, limit: int) -> Any:
        self._pass("changes")
        return await super().changes(stream, after, limit)

    async def not_before(self, user: str) -> datetime | None:
        self._pass("not_before")
        return await super().not_before(user)


class Node:
    """A node without sockets: store, backplane and hub, with methods that do what the socket adapter does with a
    session."""

    def __init__(
        self,
        store: Store | None = None,
        backplane: Backplane | None = None,
        *,
        routes: str | RouteTable = ROUTES,
        policy: HubPolicy = IMPATIENT,
        roll: Roll | None = None,
        presence: Presence | None = None,
    ) -> None:
        self.table = table(routes) if isinstance(routes, str) else routes
        self.clock = HandClock()
        self.counters = Counters()
        self.store: Any = store or FaultyStore()
        self.backplane: Any = backplane or MemoryBackplane(Bus())
        self.presence = presence or MemoryPresence(roll)
        self.policy = policy
        self.hub = Hub(self.store, self.backplane, self.presence, self.clock, self.counters, policy)
        self.routes = RoutesInForce(self.table)
        self.streams = FollowableStreams(self.routes)
        self.open_session = OpenSession(self.routes, self.streams, self.hub, self.store, Uuid7Factory(), self.counters)
        self.identify = IdentifyCaller(None, self.store, self.clock)
        self._made = 0

    async def start(self) -> "Node":
        await self.backplane.open(self.hub)
        return self

    def me(self, user: str | None, age: float = 10.0, **more: Any) -> Identity:
        """Return an identity whose token was issued `age` seconds ago."""
        return NOBODY if user is None else Identity(user, issued_at=self.clock.now().timestamp() - age, **more)

    async def open(self, user: str | None = None, **request: Any) -> Session:
        """Open a session. Keyword arguments may be fields of ConnectRequest."""
        return await self.open_session(self.request(user, **request))

    def request(
        self, user: str | None = None, *, endpoint: Endpoint = PLAIN, identity: Identity | None = None, **more: Any
    ) -> ConnectRequest:
        return ConnectRequest(endpoint, identity or self.me(user), **more)

    def commands(
        self, session: Session, request: ConnectRequest, identify: IdentifyCaller | None = None
    ) -> ClientCommands:
        """Return the object that handles the frames of the session's client."""
        return ClientCommands(
            session, request, self.streams, identify or self.identify, self.store, self.clock, CommandPolicy()
        )

    async def record(self, *messages: Message) -> Recorded:
        """Store the messages without publishing them."""
        return await self.store.record([plan(one, self.table) for one in messages], self.clock.now())

    async def send(self, *messages: Message) -> Recorded:
        """Store and publish the messages."""
        recorded = await self.record(*messages)
        await self.backplane.publish(recorded.entries, recorded.sign_outs)
        return recorded

    def news(self, text: Any, source: str = "news") -> Message:
        self._made += 1
        return message(source, {"type": "news", "text": text}, f"n-{self._made}")

    def direct(self, to: Any, text: Any) -> Message:
        self._made += 1
        return message("direct", {"type": "direct", "to": to, "text": text}, f"d-{self._made}")

    async def sweep(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.turn(1)
            await self.hub.sweep()
            await settle()


async def settle(rounds: int = 20) -> None:
    """Run the event loop until no task can make progress."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class Reader:
    """A client that reads everything while it is not paused: the transport of a session, and its writer."""

    def __init__(self, node: Node, session: Session) -> None:
        self.node = node
        self.session = session
        self.frames: list[str] = []
        self.oldest_unsent: int | None = None
        self.going = asyncio.Event()
        self.going.set()
        session.attach(self)
        self.task = asyncio.create_task(self._read())

    def try_send(self, frame: str) -> bool:
        return False

    def force_close(self) -> None:
        self.task.cancel()

    async def _read(self) -> None:
        frames: AsyncGenerator[str, None] = self.session.frames()
        try:
            async for frame in frames:
                self.oldest_unsent = len(self.frames)
                await self.going.wait()
                self.oldest_unsent = None
                self.frames.append(frame)
        finally:
            await frames.aclose()
            self.node.hub.remove(self.session)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Return the objects received, decoded; for an event stream, the data of its events."""
        if self.session.view.transport == "sse":
            return [json.loads(event["data"]) for event in events_in("".join(self.frames)) if "data" in event]
        return [json.loads(line) for frame in self.frames for line in frame.split("\n")]

    @property
    def texts(self) -> list[Any]:
        """Return the `text` field of every entry received, in order."""
        return [one["data"]["text"] for one in self.objects if isinstance(one.get("data"), dict)]

    @property
    def ended(self) -> bool:
        return self.task.done()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        # A task that is cancelled before its first step never runs its `finally` block.
        self.node.hub.remove(self.session)


def events_in(text: str) -> list[dict[str, str]]:
    """Parse the events of an event stream by the rules of HTML, section 9.2.6, as an EventSource does."""
    events: list[dict[str, str]] = []
    data: list[str] = []
    event: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        if not line:
            if data:
                events.append({**event, "data": "\n".join(data)})
            data = []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            event["id"] = value
        elif name == "retry" and value.isdigit():
            event["retry"] = value
    return events


def entry(
    body: str = '{"a":1}',
    *,
    stream: str = "feed:news",
    seq: int = 1,
    changed: int | None = None,
    envelope: Any = "typed",
    type: str = "news",
    **more: Any,
) -> Entry:
    fields = {name: more.pop(name) for name in ("title", "message", "url") if name in more}
    content = Content("news", f"e-{seq}", "news", type, "trading", envelope, body, NOW, **fields)
    return Entry(stream, seq, seq if changed is None else changed, Uuid7Factory().new_id(), content, NOW, **more)


def sign_out(user: str, at: datetime) -> SignOut:
    return SignOut(user, at)
