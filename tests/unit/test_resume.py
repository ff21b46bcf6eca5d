"""Resuming, tested against a model: clients move between nodes at any moment, over a backplane without guarantees,
while their notifications are read and archived elsewhere."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.memory.backplane import Bus, MemoryBackplane
from adapters.memory.inboxes import MemoryInboxes
from application.hub.policy import BufferPolicy
from application.inbox.mark_notifications import BulkChangePolicy, MarkNotifications
from application.inbox.mark_seen import MarkSeen
from domain.notifications import NotificationFilter
from domain.streams import Entry, SignOut
from tests.support.core import IMPATIENT, STREAM, FaultyStore, Node, Reader, events_in, message, settle

USERS: Final = ("ada", "bob")
NODES: Final = 2

# The number of sweeps after which every stream has been compared and resynchronised.
SWEEPS: Final = 12


# All limits are small, and there are no delays.
SMALL = replace(
    IMPATIENT,
    buffers=BufferPolicy(max_entries=6, max_page_entries=4, max_chunk_entries=3),
    session=replace(IMPATIENT.session, store_retry_s=0.0),
)


class FatefulBackplane(MemoryBackplane):
    """Loses, repeats or delays what is published, as the test chooses."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.fates: list[str] = []
        self._held: list[Sequence[Entry]] = []

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        fate = self.fates.pop() if self.fates else "carried"
        held, self._held = self._held, []
        if fate == "held back":
            self._held = [*held, entries]
            return
        for several in ([] if fate == "lost" else [entries] * (2 if fate == "repeated" else 1)) + held:
            await super().publish(several, ())


class Client:
    """The state of a client: what it has received, and its positions."""

    def __init__(self, user: str, nodes: Sequence[Node]) -> None:
        self.user = user
        self.nodes = nodes
        self.arrivals: list[int] = []
        self.reader: Reader | None = None
        self._taken = 0

    async def move(self, at: int) -> None:
        await self.leave()
        session = await self._open(self.nodes[at])
        assert session.resume_point.gaps == ()
        self.reader = Reader(self.nodes[at], session)
        self._taken = 0

    async def leave(self) -> None:
        if self.reader is not None:
            await self.reader.leave()
            self.take()
            self.reader = None

    def take(self) -> None:
        assert self.reader is not None
        frames = self.reader.frames[self._taken :]
        self._taken += len(frames)
        for frame in frames:
            self._see(frame)

    async def _open(self, node: Node) -> Any:
        raise NotImplementedError

    def _see(self, frame: str) -> None:
        raise NotImplementedError


class Plain(Client):
    """An event stream: its position is the id of the last event."""

    cursor: str | None = None

    async def _open(self, node: Node) -> Any:
        return await node.open(self.user, endpoint=STREAM, cursor=self.cursor)

    def _see(self, frame: str) -> None:
        for event in events_in(frame):
            self.cursor = event["id"]
            shown = json.loads(event["data"])
            if shown["type"] == "direct":
                self.arrivals.append(shown["data"]["n"])


class Speaking(Client):
    """A herald.v1 client that keeps a list, as docs/protocol.md specifies."""

    def __init__(self, user: str, nodes: Sequence[Node]) -> None:
        super().__init__(user, nodes)
        self.listed: dict[str, tuple[int, bool]] = {}
        self.passed: set[int] = set()
        self.unread = 0
        self.unseen = 0
        self.seen_seq = 0
        self._epoch = ""
        self._positions: dict[str, int] = {}

    async def _open(self, node: Node) -> Any:
        request = node.request(self.user, protocol=True)
        session = await node.open_session(request)
        place = {"epoch": self._epoch, "positions": self._positions} if self._epoch else {}
        await node.commands(session, request)(json.dumps({"resume": place}))
        return session

    def _see(self, frame: str) -> None:
        shown = [json.loads(line) for line in frame.split("\n")]
        entries = [(one["stream"], one.get("changed", one["seq"]), one.get("id")) for one in shown if "stream" in one]
        assert len(entries) == len(set(entries))
        assert all(place > self._positions[stream] for stream, place, _ in entries)
        for one in shown:
            match one["kind"]:
                case "hello":
                    assert one["resumed"] is bool(self._epoch)
                    self._epoch = one["epoch"]
                    self._positions = one["positions"]
                case "notification":
                    # A notification that was changed while the client was disconnected comes after later arrivals.
                    if one["id"] not in self.listed:
                        self.arrivals.append(one["data"]["n"])
                    self.listed[one["id"]] = (one["data"]["n"], one["read"])
                case "read" | "unread":
                    number, _ = self.listed[one["id"]]
                    self.listed[one["id"]] = (number, one["kind"] == "read")
                case "archived":
                    if self.listed.pop(one["id"], None) is None:
                        self.passed.add(one["seq"])
                case "seen":
                    assert one["seq"] > self.seen_seq
                    self.seen_seq = one["seq"]
                case kind:
                    assert kind == "heartbeat"
            self.unread = one.get("unread", self.unread)
            self.unseen = one.get("unseen", self.unseen)
        # A position is complete once all its entries have arrived: they share a frame.
        for stream, place, _ in entries:
            self._positions[stream] = place


class World:
    """Nodes on one store, clients that move between them, and changes of their notifications."""

    def __init__(self) -> None:
        store, bus = FaultyStore(), Bus()
        self.backplanes = [FatefulBackplane(bus) for _ in range(NODES)]
        self.nodes = [Node(store, backplane, policy=SMALL) for backplane in self.backplanes]
        self.inboxes = MemoryInboxes(store.records)
        node, backplane = self.nodes[0], self.backplanes[0]
        self.mark = MarkNotifications(
            self.inboxes, store, backplane, node.clock, node.counters, BulkChangePolicy(chunk=3)
        )
        self.mark_seen = MarkSeen(self.inboxes, store, backplane, node.clock, node.counters)
        self.clients: list[Client] = [kind(user, self.nodes) for user in USERS for kind in (Plain, Speaking)]
        self.sent: dict[str, list[int]] = {user: [] for user in USERS}
        self._sent = 0

    async def start(self) -> None:
        for node in self.nodes:
            await node.start()
        for number, client in enumerate(self.clients):
            await client.move(number % NODES)
        await settle()

    async def arrive(self, node: int, recipients: list[list[str]], fate: str) -> None:
        self.backplanes[node].fates = [fate]
        events = []
        for users in recipients:
            self._sent += 1
            events.append(message("direct", {"type": "direct", "to": users, "n": self._sent}, f"d-{self._sent}"))
            for user in users:
                self.sent[user].append(self._sent)
        await self.nodes[node].send(*events)

    async def act(self, user: str, mark: Any, which: int | None, fates: list[str]) -> None:
        """Change the state of one notification of the inbox, chosen by `which`, or of all if it is None."""
        self.backplanes[0].fates = list(fates)
        listed = (await self.inboxes.page(user, NotificationFilter(), 10_000)).notifications
        if which is None:
            if mark != "unread":
                await self.mark.all(user, mark)
        elif listed:
            await self.mark.one(user, listed[which % len(listed)].id, mark)

    async def see(self, user: str, upto: int, fate: str) -> None:
        self.backplanes[0].fates = [fate]
        await self.mark_seen(user, upto)

    async def sweep(self, node: int) -> None:
        await self.nodes[node].sweep()

    async def move(self, client: int, node: int) -> None:
        await self.clients[client].move(node)

    async def settle(self) -> None:
        for client in self.clients:
            if client.reader is None:
                await client.move(0)
        for _ in range(SWEEPS):
            for node in self.nodes:
                await node.sweep()
        await settle(60)

    async def check(self) -> None:
        for client in self.clients:
            await client.leave()
            if isinstance(client, Speaking):
                await self._check_in_step(client)
            else:
                assert client.arrivals == self.sent[client.user]
        assert not any(node.hub.sessions for node in self.nodes)

    async def _check_in_step(self, client: Speaking) -> None:
        page = await self.inboxes.page(client.user, NotificationFilter(archived=None), 10_000)
        numbers = {one.seq: json.loads(one.content.body)["n"] for one in page.notifications}
        listed = {
            str(one.id): (numbers[one.seq], one.state.read) for one in page.notifications if not one.state.archived
        }
        assert client.listed == listed
        assert (client.unread, client.unseen) == (page.head.unread, page.head.unseen)
        assert client.seen_seq == page.head.seen_seq
        # Of a notification archived while the client was disconnected, the client receives only that.
        passed = [numbers[seq] for seq in client.passed]
        assert sorted([*client.arrivals, *passed]) == self.sent[client.user]


users = st.sampled_from(USERS)
fates = st.sampled_from(["carried", "carried", "lost", "held back", "repeated"])
places = st.integers(0, NODES - 1)
steps = st.one_of(
    st.tuples(
        st.just("arrive"), places, st.lists(st.lists(users, min_size=1, unique=True), min_size=1, max_size=5), fates
    ),
    st.tuples(
        st.just("act"),
        users,
        st.sampled_from(["read", "unread", "archived"]),
        st.none() | st.integers(0, 9),
        st.lists(fates, max_size=4),
    ),
    st.tuples(st.just("see"), users, st.integers(0, 40), fates),
    st.tuples(st.just("move"), st.integers(0, 2 * len(USERS) - 1), places),
    st.tuples(st.just("sweep"), places),
)


@settings(max_examples=80)
@given(st.lists(st.tuples(steps, st.integers(0, 6)), max_size=60))
def test_resuming_at_any_position_yields_each_entry_once(plot: list[Any]) -> None:
    """Each step has the number of event loop iterations until the next step."""

    async def play() -> None:
        world = World()
        await world.start()
        for (what, *arguments), turns in plot:
            await getattr(world, what)(*arguments)
            await settle(turns)
        await world.settle()
        await world.check()

    asyncio.run(play())
