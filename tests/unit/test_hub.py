"""The hub: whatever happens on the way, a session gets what is stored, once, in order, and nobody else's."""

import asyncio
import json
import random
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from adapters.memory.backplane import Bus, MemoryBackplane
from adapters.memory.inboxes import MemoryInboxes
from adapters.memory.presence import MemoryPresence, Roll
from adapters.memory.records import Limits
from application.hub import frames as framing
from application.hub import hub as hubs
from application.hub import periodic
from application.hub import session as sessions
from application.hub import streams as hub_streams
from application.hub.stream_buffer import MOST_ENTRIES, StreamBuffer
from application.live.endpoints import Endpoint
from application.ports.backplane import Listener
from application.ports.store import StreamPage
from domain.errors import Draining, SignedOut, TokenExpired, TooManyAnonymous, TooManySessions, TooManySessionsElsewhere
from domain.identity import Identity
from domain.notifications import NotificationFilter
from domain.positions import Cursor, Head, tag_of
from domain.protocol.herald_v1 import CloseCode, View
from domain.streams import Entry, SignOut, StreamName
from tests.support.core import (
    NOW,
    PLAIN,
    STREAM,
    FaultyStore,
    Node,
    Reader,
    entry,
    events_in,
    message,
    settle,
    sign_out,
)

PLAIN_ALL = Endpoint("plain", "ws", "trading", inbox="all")


@pytest.fixture
async def node() -> Node:
    return await Node().start()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for a first frame that does not come, and little for a store that is away."""
    monkeypatch.setattr(sessions, "PATIENCE", 0.0)
    monkeypatch.setattr(sessions, "STORE_RETRY", 0.001)


async def until(condition: Any, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


# --- fakes ----------------------------------------------------------------------------------------------------


class RoughBackplane(MemoryBackplane):
    """Loses, repeats, reorders and delays, and takes its time to subscribe. Within its port's promise: none."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(Bus())
        self._chance = chance
        self._held: list[Entry] = []

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        await asyncio.sleep(0)
        await super().subscribe(streams)
        await asyncio.sleep(0)

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        chance = self._chance
        for one in entries:
            fate = chance.random()
            if fate < 0.25:
                continue
            self._held += [one] * (2 if fate > 0.8 else 1)
        if chance.random() < 0.5:
            chance.shuffle(self._held)
        if chance.random() < 0.7:
            held, self._held = self._held, []
            keep = chance.randrange(3)
            self._held = held[len(held) - keep :] if keep else []
            await super().publish(held[: len(held) - keep], [one for one in sign_outs if chance.random() < 0.5])


class SlowBackplane(MemoryBackplane):
    """Takes a few turns of the loop to subscribe."""

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await super().subscribe(streams)
        for _ in range(3):
            await asyncio.sleep(0)


class MutedBackplane(MemoryBackplane):
    """Publishes nothing while it is muted, and is away from `leave` to `come_back`."""

    muted = False
    fault: str | None = None
    outages = 0

    def leave(self) -> None:
        self.muted, self.fault = True, "away"
        self.outages += 1

    def come_back(self) -> None:
        self.muted, self.fault = False, None

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        if not self.muted:
            await super().publish(entries, sign_outs)


# --- everything at once ---------------------------------------------------------------------------------------


class Client:
    """One client through all of its connections: remembers where it stands, and comes back there."""

    def __init__(self, node: Node, chance: random.Random, user: str | None, kind: str, feeds: Any) -> None:
        self.node, self.chance, self.user, self.kind, self.feeds = node, chance, user, kind, feeds
        self.reader: Reader | None = None
        self.cursor: str | None = None
        self.seen: list[tuple[str, int, str]] = []
        self.plain_seen: list[list[str]] = []
        self.first: dict[str, int] = {}

    async def connect(self) -> None:
        session = await self.node.open(
            self.user,
            endpoint=STREAM if self.kind == "sse" else PLAIN_ALL,
            protocol=self.kind == "v1" or (self.kind == "sse" and self.user is None),
            cursor=self.cursor,
            feeds=self.feeds,
        )
        assert not session.resume_point.gaps
        # Who left before the first frame has no cursor, and begins anew.
        if self.cursor is None:
            self.first = session.positions.by_name
        if self.kind == "plain":
            self.plain_seen.append([])
        self.reader = Reader(self.node, session)

    async def leave(self) -> None:
        assert self.reader is not None
        await self.reader.leave()
        self.gather()
        if self.kind != "sse":
            self.cursor = self.reader.session.cursor
        self.reader = None

    def gather(self) -> None:
        assert self.reader is not None
        if self.kind == "sse":
            for event in events_in("".join(self.reader.frames)):
                self.cursor = event["id"]
                self._see(json.loads(event["data"]))
        else:
            for one in self.reader.objects:
                self._see(one)

    def _see(self, one: dict[str, Any]) -> None:
        assert one.get("kind") not in ("gap", "error")
        data = one.get("data")
        if isinstance(data, dict):
            self.seen.append((data["to"], data["number"], data["text"]))


@pytest.mark.parametrize("seed", range(12))
async def test_rough_weather(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of all kinds come, read, pause, leave and resume, on a backplane that does everything wrong."""
    monkeypatch.setattr("application.hub.stream_buffer.MOST_ENTRIES", 8)
    monkeypatch.setattr(hub_streams, "MOST_ENTRIES", 5)
    monkeypatch.setattr(framing, "MOST_ENTRIES", 3)
    monkeypatch.setattr(hubs, "SLOW_AFTER", 8)
    chance = random.Random(seed)
    node = await Node(FaultyStore(), RoughBackplane(chance)).start()
    users = ["ada", "bob", None]
    clients = [
        Client(node, chance, user, kind, feeds)
        for user in users
        for kind in ("plain", "v1", "sse")
        for feeds in (None, ("news",))
    ]
    written: dict[str, list[str]] = {"ada": [], "bob": [], "news": [], "staff": []}
    number = 0

    async def write() -> None:
        nonlocal number
        batch = []
        for _ in range(chance.randrange(1, 6)):
            number += 1
            to = chance.choice(list(written))
            written[to].append(f"{to}-{number}")
            source = to if to in ("news", "staff") else "direct"
            payload = {"to": to, "number": len(written[to]), "text": f"{to}-{number}"}
            batch.append(message(source, payload, f"e-{number}"))
        await node.send(*batch)

    for _ in range(150):
        what = chance.random()
        client = chance.choice(clients)
        if client.reader is not None and client.reader.session.close_reason is not None:
            await client.leave()
        if what < 0.35:
            await write()
        elif what < 0.6:
            if client.reader is None:
                await client.connect()
            elif chance.random() < 0.5:
                await client.leave()
        elif what < 0.75 and client.reader is not None:
            client.reader.going.clear()
        elif what < 0.85 and client.reader is not None:
            client.reader.going.set()
        elif what < 0.95:
            await node.sweep()
        else:
            node.store.away = chance.randrange(3)
            await settle(3)
            node.store.away = 0
        await settle(chance.randrange(6))

    for client in clients:
        if client.reader is not None and client.reader.session.close_reason is not None:
            await client.leave()
        if client.reader is None:
            await client.connect()
        assert client.reader is not None
        client.reader.going.set()
    await settle()
    for _ in range(14):
        await node.sweep()
        await settle(60)
    for client in clients:
        assert client.reader is not None
        assert not client.reader.ended
        await client.leave()

    for client in clients:
        streams = ["news"] if client.feeds else ["news", "staff"] if client.user else ["news"]
        streams += [client.user] if client.user else []
        assert {to for to, _, _ in client.seen} <= set(streams)
        for stream in streams:
            public = "inbox" if stream == client.user else stream
            numbers = [count for to, count, _ in client.seen if to == stream]
            expected = list(range(client.first[public] + 1, len(written[stream]) + 1))
            if client.kind == "plain":
                # A frame that was cut short by the client's leaving comes again from where the session stood.
                assert sorted(set(numbers)) == expected
            else:
                assert numbers == expected
    assert not node.hub.sessions


# --- live -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [False, True])
async def test_arrivals_reach_those_who_follow_and_nobody_else(node: Node, protocol: bool) -> None:
    ada, bob, none = [Reader(node, await node.open(user, protocol=protocol)) for user in ("ada", "bob", None)]
    await node.send(node.news("n1"), node.direct("ada", "a1"), node.news("s1", "staff"), node.direct("bob", "b1"))
    await node.send(node.news("n2"), node.news("x", "secret"))
    await asyncio.sleep(0.01)
    assert sorted(ada.texts) == ["a1", "n1", "n2", "s1"]
    assert sorted(bob.texts) == ["b1", "n1", "n2", "s1"]
    assert none.texts == ["n1", "n2"]


async def test_sessions_that_stand_at_the_same_place_share_one_rendering(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []
    text = View.text
    monkeypatch.setattr(View, "text", lambda view, one: rendered.append(one) or text(view, one))
    for protocol in (True, False):
        readers = [Reader(node, await node.open(protocol=protocol)) for _ in range(50)]
        await asyncio.sleep(0.01)
        rendered.clear()
        await node.send(*(node.news(n) for n in range(10)))
        await settle()
        assert all(reader.texts == list(range(10)) for reader in readers)
        assert len(rendered) == 10
        assert len({id(reader.frames[-1]) for reader in readers}) == 1
        for reader in readers:
            await reader.leave()


async def test_event_streams_of_feeds_alone_share_their_text(node: Node) -> None:
    readers = [Reader(node, await node.open(endpoint=STREAM)) for _ in range(10)]
    await settle()
    await node.send(node.news("a"), node.news("b"))
    await settle()
    assert all(reader.texts == ["a", "b"] for reader in readers)
    assert len({id(reader.frames[-1]) for reader in readers}) == 1


async def test_clients_that_resume_at_the_same_place_share_one_reading(node: Node) -> None:
    cursor = (await node.open()).cursor
    await node.send(*(node.news(n) for n in range(MOST_ENTRIES * 2)))
    readers = [Reader(node, await node.open(cursor=cursor)) for _ in range(20)]
    node.store.calls.clear()
    await until(lambda: all(reader.texts == list(range(MOST_ENTRIES * 2)) for reader in readers))
    assert node.store.calls.count("arrivals") <= MOST_ENTRIES * 2 / framing.MOST_ENTRIES + 2


async def test_what_is_stored_right_after_opening_arrives_with_the_backplane_slow() -> None:
    node = await Node(backplane=SlowBackplane(Bus())).start()
    for number in range(8):
        session = await node.open("ada", protocol=number % 2 == 0)
        await node.send(node.direct("ada", number), node.news(number))
        reader = Reader(node, session)
        await until(lambda: reader.texts.count(number) == 2)  # noqa: B023 - done with before the next
        await reader.leave()
        # Forgotten and followed again at the same moment.
        for _ in range(hub_streams.FORGOTTEN_AFTER):
            await node.sweep()
        sweeping = asyncio.create_task(node.sweep())
        for _ in range(number):
            await asyncio.sleep(0)
        session = await node.open("ada")
        await node.send(node.direct("ada", "again"))
        await sweeping
        reader = Reader(node, session)
        await until(lambda: reader.texts == ["again"])  # noqa: B023
        await reader.leave()


async def test_a_session_filtered_by_type_gets_no_other_and_its_cursor_moves_on(node: Node) -> None:
    for endpoint, protocol in ((PLAIN, False), (PLAIN, True), (STREAM, False)):
        reader = Reader(node, await node.open("ada", endpoint=endpoint, protocol=protocol, types=frozenset({"other"})))
        await node.send(node.direct("ada", "a"), node.news("n"))
        await asyncio.sleep(0.005)
        assert reader.texts == []
        heads = await node.store.heads(["inbox:ada", "feed:news"])
        assert reader.session.positions.by_name["inbox"] == heads["inbox:ada"].last
        assert reader.session.positions.by_name["news"] == heads["feed:news"].last
        await reader.leave()


@pytest.mark.parametrize("user", [None, "ada"])
@pytest.mark.parametrize("protocol", [False, True])
async def test_the_id_of_every_event_resumes_exactly_behind_it(node: Node, user: str | None, protocol: bool) -> None:
    reader = Reader(node, await node.open(user, endpoint=STREAM, protocol=protocol))
    for number in range(6):
        await node.send(node.news(f"n{number}"), node.direct("ada", f"a{number}"), node.news(f"m{number}"))
        await settle(number)
    await until(lambda: len(reader.texts) == (18 if user else 12))
    events = events_in("".join(reader.frames))
    whole = reader.texts
    for index, event in enumerate(events):
        session = await node.open(user, endpoint=STREAM, protocol=protocol, cursor=event["id"])
        assert session.resume_point.resumed
        again = Reader(node, session)
        seen = [
            one["data"]["text"] for one in map(json.loads, (e["data"] for e in events[: index + 1])) if "data" in one
        ]
        await until(lambda: sorted(seen + again.texts) == sorted(whole))  # noqa: B023 - done with before the next
        for kind in "nma":
            assert [t for t in seen + again.texts if t[0] == kind] == [t for t in whole if t[0] == kind]
        await again.leave()


# --- the hub heals itself -------------------------------------------------------------------------------------


async def test_who_left_while_catching_up_is_told_of_a_change_by_all_of_it(node: Node) -> None:
    """It has seen 2 only, where 1 had been read by then: that has moved behind 4, to a position of its own."""
    warm = Reader(node, await node.open("ada", protocol=True, cursor="none"))
    await node.send(*[node.direct(["ada"], text) for text in ("one", "two", "three", "four")])
    inboxes = MemoryInboxes(node.store.records)
    (first,) = (await inboxes.page("ada", NotificationFilter(), 1, before=2)).notifications
    marked = await inboxes.mark("ada", first.id, "read", NOW)
    assert marked is not None
    await node.backplane.publish(marked.entries, ())
    await settle()
    assert [one["kind"] for one in warm.objects][-1] == "read"
    cursor = str(Cursor(await node.store.epoch(), tag_of("ada"), {"inbox": 2}))
    back = Reader(node, await node.open("ada", protocol=True, cursor=cursor))
    await settle()
    assert [(one["seq"], one["read"]) for one in back.objects[1:]] == [(3, False), (4, False), (1, True)]
    await node.send(node.direct(["ada"], "five"))
    await settle()
    assert back.texts[-1] == "five"


async def test_what_the_backplane_loses_comes_within_seconds() -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    readers = [Reader(node, await node.open(user, protocol=True)) for user in ("ada", "bob", None)]
    node.backplane.muted = True
    await node.send(node.direct("ada", "a"), node.direct("bob", "b"), node.news("n"))
    await node.sweep(hubs.SLICES + 1)
    await asyncio.sleep(0.005)
    assert [sorted(reader.texts) for reader in readers] == [["a", "n"], ["b", "n"], ["n"]]
    assert node.counters.healed == 3


async def test_many_are_looked_after_in_parts_and_nobody_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "AT_ONCE", 3)
    monkeypatch.setattr(periodic, "SWEEP", 0.02)
    node = await Node(backplane=MutedBackplane(Bus())).start()
    users = [f"user-{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user)) for user in users]
    node.backplane.muted = True
    await node.send(*(node.direct(user, user) for user in users))
    await node.sweep(hubs.SLICES + 1)
    assert [reader.texts for reader in readers] == [[user] for user in users]
    assert {reader.session.sweeps for reader in readers} == {hubs.SLICES + 1}


async def test_who_leaves_between_two_parts_is_let_be(monkeypatch: pytest.MonkeyPatch, node: Node) -> None:
    monkeypatch.setattr(periodic, "AT_ONCE", 1)
    monkeypatch.setattr(periodic, "SWEEP", 0.02)
    sessions = [await node.open(f"user-{number}") for number in range(2)]
    sweeping = asyncio.create_task(node.hub.sweep())
    await until(lambda: any(session.sweeps for session in sessions))
    (waiting,) = [session for session in sessions if not session.sweeps]
    node.hub.remove(waiting)
    await sweeping
    assert waiting.sweeps == 0


async def test_who_opens_a_stream_whose_first_entry_was_lost_leaves_nobody_behind() -> None:
    backplane = MutedBackplane()
    node = await Node(backplane=backplane).start()
    first = Reader(node, await node.open("ada"))
    await settle()
    backplane.muted = True
    await node.send(node.direct(["ada"], "lost"))
    await node.open("ada")
    await node.sweep(12)
    assert first.texts == ["lost"]


async def test_while_the_backplane_is_away_every_stream_is_compared_every_second() -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    users = [f"u{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user, protocol=True)) for user in users]
    signed_out = await node.open("gone", identity=node.me("gone"))
    node.backplane.leave()
    for number in range(3):
        await node.send(*(node.direct(user, number) for user in users))
        await node.sweep()
        await asyncio.sleep(0.005)
        assert [reader.texts for reader in readers] == [[*range(number + 1)]] * 20
    await node.send(message("bye", {"user_id": "gone"}, "s"))
    await node.sweep()
    assert signed_out.close_reason is not None


async def test_who_is_joined_again_before_the_others_has_what_they_cannot_tell_soon() -> None:
    """Nothing reaches anybody from a node that is without the backplane still."""
    node = await Node(backplane=MutedBackplane(Bus())).start()
    users = [f"u{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user, protocol=True)) for user in users]
    node.backplane.leave()
    await node.sweep()
    node.backplane.come_back()
    await node.sweep()
    node.backplane.muted = True
    await node.send(*(node.direct(user, "late") for user in users))
    await node.sweep(2)
    await asyncio.sleep(0.005)
    assert [reader.texts for reader in readers] == [["late"]] * 20


@pytest.mark.parametrize("seconds", [0, 1])
async def test_once_the_backplane_is_back_all_is_compared_once_more(seconds: int) -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    users = [f"u{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user, protocol=True)) for user in users]
    node.backplane.leave()
    await node.sweep(seconds)
    await node.send(*(node.direct(user, "x") for user in users))
    node.backplane.come_back()
    await node.sweep(2)
    await asyncio.sleep(0.005)
    assert [reader.texts for reader in readers] == [["x"]] * 20


async def test_who_opens_a_stream_that_is_empty_wakes_nobody(node: Node) -> None:
    first = await node.open("ada", protocol=True)
    woken: list[int] = []
    first.wake = lambda: woken.append(1)  # type: ignore[method-assign]
    for _ in range(3):
        await node.open("bob", protocol=True)
    assert woken == []


async def test_every_stream_is_compared_in_time_whatever_others_come_and_go() -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    per_sweep = hubs.SLICES - 1
    early = [await node.open(f"early-{number}", endpoint=PLAIN_ALL) for number in range(per_sweep * 20)]
    readers = [Reader(node, await node.open(f"u{number}", protocol=True)) for number in range(hubs.SLICES)]
    for session in early:
        node.hub.remove(session)
    # Four of the streams before theirs are forgotten with each sweep.
    for number in range(len(early)):
        node.hub.streams._buffers[f"inbox:early-{number}"].idle = hub_streams.FORGOTTEN_AFTER - number // per_sweep
    node.backplane.muted = True
    await node.send(*(node.direct(f"u{number}", "x") for number in range(hubs.SLICES)))
    await node.sweep(2 * hubs.SLICES)
    await asyncio.sleep(0.005)
    assert [reader.texts for reader in readers] == [["x"]] * hubs.SLICES


async def test_a_store_that_is_away_delays_and_loses_nothing(node: Node) -> None:
    reader = Reader(node, await node.open("ada", cursor=(await node.open("ada")).cursor))
    buffer = node.hub.streams._buffers["inbox:ada"]
    await node.record(node.direct("ada", 1), node.direct("ada", 2))
    recorded = await node.record(node.direct("ada", 3))
    node.store.away = 3
    await node.backplane.publish(recorded.entries, ())
    await until(lambda: reader.texts == [1, 2, 3])
    assert buffer.head == 3


async def test_a_hub_whose_store_went_back_in_time_does_not_spin() -> None:
    """A head beyond the store's (a restore from backup) must cost no more than patience: the loop goes on."""

    class Restored(FaultyStore):
        async def arrivals(self, stream: str, after: int, limit: int) -> StreamPage:
            return StreamPage((), min(after, 1), Head(1))

    node = await Node(Restored()).start()
    session = await node.open(feeds=("news",))
    node.hub.arrived([entry(seq=5)])
    turns = 0
    ready = StreamBuffer.ready

    def counted(buffer: StreamBuffer, view: View, after: int) -> Any:
        nonlocal turns
        turns += 1
        if turns > 1000:
            raise AssertionError("the session spins without an await")
        return ready(buffer, view, after)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamBuffer, "ready", counted)
        reader = Reader(node, session)
        await asyncio.sleep(0.02)
        assert not reader.ended
        await reader.leave()


# --- positions that several entries share ---------------------------------------------------------------------


async def test_a_catch_up_does_not_end_inside_a_position() -> None:
    """A mass act gives up to 500 notifications one position (docs/decisions/0001-positions.md)."""

    class Massive(FaultyStore):
        async def changes(self, stream: str, after: int, limit: int) -> StreamPage:
            rows = [entry(stream=stream, seq=seq, changed=301, read=True) for seq in range(1, 301)]
            return StreamPage(tuple(rows) if after < 301 else (), 301, Head(301))

        async def heads(self, streams: Any) -> dict[str, Head]:
            return {name: Head(301) if name == "inbox:ada" else Head() for name in streams}

    node = await Node(Massive()).start()
    epoch = await node.store.epoch()
    cursor = str(Cursor(epoch, tag_of("ada"), {"inbox": 300}))
    reader = Reader(node, await node.open("ada", protocol=True, cursor=cursor))
    await asyncio.sleep(0.02)
    assert [one["seq"] for one in reader.objects if one["kind"] == "notification"] == list(range(1, 301))


async def test_entries_that_share_a_position_are_told_together() -> None:
    node = await Node().start()
    await node.open("ada", protocol=True, feeds=())
    view = View("ws", protocol=True)
    node.hub.arrived([entry(stream="inbox:ada", seq=seq) for seq in (1, 2, 3)])
    read = [entry(stream="inbox:ada", seq=seq, changed=4, kind="read") for seq in (3, 2, 1)]
    node.hub.arrived([*read, *read])
    node.hub.arrived(read)
    node.hub.arrived([entry(stream="inbox:ada", seq=5)])
    buffer = node.hub.streams._buffers["inbox:ada"]
    assert [(one.seq, one.changed) for one in buffer.entries] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (3, 4),
        (2, 4),
        (1, 4),
        (5, 5),
    ]
    for after, told in ((2, 5), (3, 4), (4, 1)):
        frames = buffer.ready(view, after)
        assert frames is not None
        assert (frames.objects, frames.upto) == (told, 5)


# --- gaps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "v1", "sse"])
async def test_a_gap_in_mid_session_is_told(kind: str) -> None:
    node = await Node(FaultyStore(Limits(entries_per_stream=10)), MutedBackplane(Bus())).start()
    session = await node.open(endpoint=STREAM if kind == "sse" else PLAIN, protocol=kind == "v1")
    reader = Reader(node, session)
    await settle()
    node.backplane.muted = True
    await node.send(*(node.news(n) for n in range(30)))
    await node.sweep(hubs.SLICES + 1)
    await asyncio.sleep(0.005)
    if kind == "v1":
        kinds = [one["kind"] for one in reader.objects]
        assert kinds == ["hello", "gap"] + ["broadcast"] * 10
        assert reader.objects[1] == {"kind": "gap", "stream": "news", "after": 0, "upto": 20}
        assert reader.texts == list(range(20, 30))
    else:
        assert reader.ended
        assert session.close_reason is not None
        assert session.close_reason.code == CloseCode.TOO_SLOW
        assert reader.texts == []


async def test_a_gap_is_told_however_many_answers_wait() -> None:
    node = await Node(FaultyStore(Limits(entries_per_stream=10)), MutedBackplane(Bus())).start()
    session = await node.open(protocol=True, feeds=("news",))
    for _ in range(sessions.MOST_ANSWERS):
        session.answer('{"kind":"pong"}')
    node.backplane.muted = True
    await node.send(*(node.news(n) for n in range(30)))
    await node.sweep(hubs.SLICES + 1)
    reader = Reader(node, session)
    await asyncio.sleep(0.005)
    kinds = [one["kind"] for one in reader.objects]
    assert "gap" in kinds
    assert kinds.index("gap") < kinds.index("broadcast")


@pytest.mark.parametrize("kind", ["v1", "sse"])
async def test_a_cursor_before_what_is_kept_is_a_gap_and_the_rest_follows(kind: str) -> None:
    node = await Node(FaultyStore(Limits(entries_per_stream=10))).start()
    more: dict[str, Any] = {"endpoint": STREAM if kind == "sse" else PLAIN, "protocol": kind == "v1"}
    cursor = (await node.open(**more)).cursor
    await node.send(*(node.news(n) for n in range(30)))
    reader = Reader(node, await node.open(**more, cursor=cursor))
    await asyncio.sleep(0.005)
    assert reader.objects[0]["gap"] == ["news"]
    assert reader.texts == list(range(20, 30))


@pytest.mark.parametrize("cursor", ["rubbish", "1.other..news:1", "1.e.abcdef.news:1"])
async def test_a_cursor_that_is_none_of_this_store_is_a_gap_and_live_goes_on(node: Node, cursor: str) -> None:
    await node.send(node.news("old"))
    reader = Reader(node, await node.open(protocol=True, cursor=cursor))
    await settle()
    await node.send(node.news("new"))
    await settle()
    assert (reader.objects[0]["resumed"], reader.objects[0]["gap"]) == (False, ["news"])
    assert reader.texts == ["new"]


# --- slow clients ---------------------------------------------------------------------------------------------


async def test_a_client_that_never_reads_slows_no_one_costs_no_queue_and_is_closed(node: Node) -> None:
    stuck = Reader(node, await node.open(protocol=True))
    stuck.going.clear()
    reader = Reader(node, await node.open())
    await until(lambda: stuck.session.oldest_unsent() is not None)
    await node.sweep(hubs.SLOW_AFTER - 1)
    assert stuck.session.close_reason is None
    for start in range(0, MOST_ENTRIES * 3, 100):
        await node.send(*(node.news(n) for n in range(start, start + 100)))
        await settle()
    assert len(reader.texts) >= MOST_ENTRIES * 3
    buffer = node.hub.streams._buffers["feed:news"]
    assert len(buffer.entries) <= MOST_ENTRIES
    assert not stuck.session._answers
    assert stuck.session.positions.values == [0]
    await node.sweep(2)
    assert stuck.session.close_reason is not None
    assert stuck.session.close_reason.code == CloseCode.TOO_SLOW
    assert reader.session.close_reason is None
    await node.sweep(hubs.CUT_OFF_AFTER + 1)
    await settle()
    assert stuck.ended
    assert stuck.session not in node.hub.sessions


async def test_a_client_that_takes_something_now_and_then_is_not_too_slow(node: Node) -> None:
    reader = Reader(node, await node.open())
    for _ in range(3):
        reader.going.clear()
        await node.send(node.news(1))
        await settle()
        await node.sweep(hubs.SLOW_AFTER - 1)
        reader.going.set()
        await settle()
    assert reader.session.close_reason is None


async def test_an_idle_client_is_not_too_slow(node: Node) -> None:
    reader = Reader(node, await node.open())
    await settle()
    await node.sweep(hubs.SLOW_AFTER * 3)
    assert reader.session.close_reason is None
    assert not reader.ended


async def test_a_client_that_did_not_begin_to_read_in_time_is_let_go_for_good(node: Node) -> None:
    session = await node.open(endpoint=STREAM)
    await node.sweep(hubs.NEVER_BEGUN_AFTER + 1)
    assert session not in node.hub.sessions
    # If it begins after all, it is told to come back, and not left with a stream on which nothing ever comes.
    reader = Reader(node, session)
    await node.send(node.news("x"))
    await asyncio.sleep(0.01)
    ended = reader.ended
    await reader.leave()
    assert ended


async def test_all_buffers_together_are_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_streams, "MOST_BYTES", 50_000)
    readers = [Reader(node, await node.open(f"u{number}")) for number in range(20)]
    for readers_turn in range(10):
        await node.send(*(node.direct(f"u{number}", "x" * 1000 + str(readers_turn)) for number in range(20)))
        await settle()
    weights = [buffer.weight for buffer in node.hub.streams._buffers.values()]
    assert sum(weights) == node.hub.streams._weight <= 50_000
    assert all(
        buffer.weight == sum(one.weight for one in buffer.entries) for buffer in node.hub.streams._buffers.values()
    )
    assert all(len(reader.texts) == 10 for reader in readers)


async def test_memory_comes_back_when_all_have_left(node: Node) -> None:
    readers = [Reader(node, await node.open(f"u{number}")) for number in range(20)]
    await node.send(node.news("x"), *(node.direct(f"u{number}", "x") for number in range(20)))
    await settle()
    for reader in readers:
        await reader.leave()
    await node.sweep(hub_streams.FORGOTTEN_AFTER + 1)
    hub = node.hub
    assert (hub.sessions, list(hub._users), hub.streams._buffers, hub.streams._weight, hub.streams._fetches) == (
        set(),
        [],
        {},
        0,
        {},
    )
    assert node.backplane._streams == set()


# --- endings --------------------------------------------------------------------------------------------------


async def test_a_session_ends_with_its_token(node: Node) -> None:
    until_then = node.clock.now().timestamp() + 3
    reader = Reader(node, await node.open(protocol=True, identity=node.me("ada", expires_at=until_then)))
    await settle()
    await node.sweep(2)
    assert reader.session.close_reason is None
    await node.sweep(1)
    await settle()
    assert reader.ended
    assert reader.objects[-1]["kind"] == "bye"
    assert reader.objects[-1]["code"] == 4401


@pytest.mark.parametrize("missed", [False, True])
async def test_a_sign_out_ends_all_sessions_of_that_user_and_no_others(missed: bool) -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    own = [Reader(node, await node.open("ada", protocol=True)) for _ in range(3)]
    fresh = Reader(node, await node.open(identity=node.me("ada", age=-5)))
    other = Reader(node, await node.open("bob"))
    await settle()
    node.backplane.muted = missed
    await node.send(message("bye", {"user_id": "ada"}, "s"))
    if missed:
        await node.sweep(hubs.SLICES)
    await settle()
    assert all(reader.objects[-1] | {"reason": ""} == {"kind": "bye", "code": 4502, "reason": ""} for reader in own)
    assert fresh.session.close_reason is None
    assert other.session.close_reason is None


@pytest.mark.parametrize("published", [False, True])
async def test_a_sign_out_while_a_session_opens_ends_it(published: bool) -> None:
    class Between(FaultyStore):
        """A sign-out is stored while the heads are read: before they are looked at, or after."""

        late = False

        async def heads(self, streams: Any) -> dict[str, Head]:
            if self.late:
                heads = await super().heads(streams)
                self.late = False
                await (node.send if published else node.record)(message("bye", {"user_id": "ada"}, "s"))
                return heads
            return await super().heads(streams)

    node = await Node(Between()).start()
    node.store.late = True
    session = await node.open("ada")
    if not published:
        await node.sweep(hubs.SLICES)
    assert session.close_reason is not None
    assert session.close_reason.code == CloseCode.SIGNED_OUT
    for age, refusal in ((10, SignedOut), (0, TokenExpired)):
        with pytest.raises(refusal):
            await node.open(identity=Identity("ada", issued_at=NOW.timestamp() - age))
    with pytest.raises(SignedOut):
        await node.open(identity=Identity("ada"))
    await node.open(identity=Identity("ada", issued_at=NOW.timestamp() + 1))
    assert len(node.hub._users.sessions("ada")) == 2


async def test_an_old_sign_out_ends_nobody_who_opens_in_open_mode() -> None:
    """It is found by a comparison before the session has read that it was there."""

    class Between(FaultyStore):
        async def heads(self, streams: Any) -> dict[str, Head]:
            node.hub.signed_out([sign_out("ada", NOW - timedelta(hours=1))])
            return await super().heads(streams)

    node = await Node(Between()).start()
    session = await node.open(identity=Identity("ada", claimed=True))
    assert session.close_reason is None


async def test_a_user_has_as_many_sessions_as_are_allowed() -> None:
    node = await Node(sessions_per_user=3).start()
    three = [await node.open("ada") for _ in range(3)]
    with pytest.raises(TooManySessions):
        await node.open("ada")
    await node.open("bob")
    await node.open(None)
    node.hub.remove(three[0])
    node.hub.remove(three[0])
    await node.open("ada")
    with pytest.raises(TooManySessions):
        await node.open("ada")


async def test_sessions_without_a_user_are_as_many_as_are_allowed() -> None:
    node = await Node(anonymous_sessions=2).start()
    one, _ = await node.open(), await node.open(endpoint=STREAM)
    for _ in range(3):
        with pytest.raises(TooManyAnonymous):
            await node.open()
    await node.open("ada")
    assert len(node.hub.sessions) == 3
    for _ in range(2):
        node.hub.remove(one)
    await node.open()
    with pytest.raises(TooManyAnonymous):
        await node.open()


async def test_on_all_nodes_together_a_user_has_as_many_sessions_as_are_allowed() -> None:
    roll: Roll = []
    here, there = [await Node(sessions_per_user=3, roll=roll).start() for _ in range(2)]
    ours = [await here.open("ada") for _ in range(2)]
    await there.open("ada")
    for node in (here, there):
        with pytest.raises(TooManySessionsElsewhere):
            await node.open("ada")
        assert len(node.hub.sessions) == (2 if node is here else 1)
    await there.open("bob")
    here.hub.remove(ours[0])
    await here.sweep()
    await there.open("ada")
    with pytest.raises(TooManySessionsElsewhere):
        await there.open("ada")


async def test_who_leaves_one_node_for_another_is_soon_welcome_there() -> None:
    roll: Roll = []
    here, there = [await Node(sessions_per_user=1, roll=roll).start() for _ in range(2)]
    session = await here.open("ada")
    here.hub.remove(session)
    with pytest.raises(TooManySessionsElsewhere):
        await there.open("ada")
    await asyncio.gather(here.sweep(), there.sweep())
    await there.open("ada")


async def test_a_presence_that_has_forgotten_is_told_again() -> None:
    roll: Roll = []
    nodes = [await Node(None, MutedBackplane(Bus()), sessions_per_user=1, roll=roll).start() for _ in range(2)]
    await nodes[0].open("ada")
    nodes[0].backplane.leave()
    roll[0].clear()
    nodes[0].backplane.come_back()
    await nodes[0].sweep()
    with pytest.raises(TooManySessionsElsewhere):
        await nodes[1].open("ada")


async def test_who_left_while_nobody_could_be_told_is_told_of_later() -> None:
    class AwayPresence(MemoryPresence):
        away = False

        async def update(self, counts: Mapping[str, int]) -> bool:
            return False if self.away else await super().update(counts)

    roll: Roll = []
    presence = AwayPresence(roll)
    here = await Node(sessions_per_user=1, presence=presence).start()
    there = await Node(sessions_per_user=1, roll=roll).start()
    session = await here.open("ada")
    presence.away = True
    here.hub.remove(session)
    await here.sweep()
    with pytest.raises(TooManySessionsElsewhere):
        await there.open("ada")
    presence.away = False
    await here.sweep()
    await there.open("ada")


async def test_those_who_stay_for_long_are_told_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "TELL_ALL", 3)
    roll: Roll = []
    nodes = [await Node(sessions_per_user=1, roll=roll).start() for _ in range(2)]
    await nodes[0].open("ada")
    roll[0].clear()
    await nodes[0].sweep(3)
    with pytest.raises(TooManySessionsElsewhere):
        await nodes[1].open("ada")


async def test_a_refused_session_leaves_nothing_behind(node: Node) -> None:
    await node.record(message("bye", {"user_id": "ada"}, "s"))
    for _ in range(3):
        with pytest.raises(SignedOut):
            await node.open("ada")
    assert not node.hub.sessions
    assert list(node.hub._users) == []
    assert not any(buffer.followers for buffer in node.hub.streams._buffers.values())


# --- leaving --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "v1", "sse"])
async def test_a_drain_delivers_what_was_stored_and_says_goodbye(node: Node, kind: str) -> None:
    readers = [
        Reader(node, await node.open("ada", endpoint=STREAM if kind == "sse" else PLAIN, protocol=kind == "v1"))
        for _ in range(5)
    ]
    await asyncio.sleep(0.005)
    await node.send(*(node.direct("ada", n) for n in range(200)))
    await node.hub.drain(0.2)
    assert not node.hub.sessions
    for reader in readers:
        assert reader.ended
        assert reader.texts == list(range(200))
        assert reader.session.close_reason is not None
        assert reader.session.close_reason.code == CloseCode.RESTARTING
        if kind == "v1":
            last = reader.objects[-1]
            assert (last["kind"], last["code"]) == ("bye", 1012)
            assert last["reconnect_in"] > 0
    with pytest.raises(Draining):
        await node.open("bob")


async def test_a_session_that_was_opening_when_the_drain_began_is_closed_too() -> None:
    node = await Node(backplane=SlowBackplane(Bus())).start()
    opening = asyncio.create_task(node.open("ada", protocol=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    draining = asyncio.create_task(node.hub.drain(0.05))
    try:
        session = await opening
    except Draining:
        session = None
    await asyncio.sleep(0.02)
    assert session is None or session.close_reason is not None
    draining.cancel()


async def test_the_first_reason_to_end_is_the_one_that_counts(node: Node) -> None:
    session = await node.open("ada")
    session.close(hubs.CloseReason(CloseCode.SIGNED_OUT, "a"))
    session.close(hubs.CloseReason(CloseCode.TOO_SLOW, "b"))
    assert session.close_reason is not None
    assert session.close_reason.code == CloseCode.SIGNED_OUT
    # Nor does anyone take the place of a session that is ending.
    session.replace(sessions.ReplacementSession(Identity("ada")))
    assert session.replacement is None


# --- heartbeats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["v1", "sse", "plain"])
async def test_heartbeats_carry_the_cursor_and_plain_sockets_know_none(node: Node, kind: str) -> None:
    session = await node.open("ada", endpoint=STREAM if kind == "sse" else PLAIN, protocol=kind == "v1")
    reader = Reader(node, session)
    await node.send(node.direct("ada", "x"))
    await asyncio.sleep(0.005)
    await node.sweep(60)
    await settle()
    beats = [one for one in reader.objects if "heartbeat" in (one.get("kind"), one.get("type"))]
    if kind == "plain":
        assert beats == []
        return
    # Two sweeps of thirty passed without the loop between them: at least one beat, with the place behind what came.
    assert beats
    resumed = await node.open("ada", endpoint=STREAM, cursor=beats[-1]["cursor"])
    assert resumed.resume_point.resumed
    assert resumed.positions.by_name["inbox"] == 1


# --- buffers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_buffer_takes_what_comes_next_and_holds_without_holes(seed: int) -> None:
    chance = random.Random(seed)
    buffer = StreamBuffer("inbox:ada")
    weight = 0
    for _ in range(400):
        position = max(1, buffer.head + chance.choice([-2, -1, 0, 1, 1, 1, 1, 1, 1, 3]))
        before = buffer.head
        body = "x" * chance.choice([1, 10, 20_000, 400_000])
        acts = range(chance.choice([1, 1, 1, 7]))
        weight += buffer.append([entry(body, seq=1, changed=position, envelope="raw") for _ in acts])
        assert buffer.head == max(before, position)
        assert sorted({one.changed for one in buffer.entries}) == list(range(buffer.base + 1, buffer.head + 1))
        assert weight == buffer.weight == sum(one.weight for one in buffer.entries)
        after = chance.randrange(buffer.head + 1)
        ready = buffer.ready(View("ws", protocol=True), after) if after < buffer.head else None
        assert ready is not None or not buffer.base <= after < buffer.head
        if ready is not None and after >= buffer.base:
            assert ready.objects == sum(1 for one in buffer.entries if after < one.changed <= ready.upto)


def test_an_step_takes_at_least_one_and_no_more_than_its_share() -> None:
    small = [entry(seq=seq) for seq in range(1, 200)]
    assert len(framing.take_chunk(small, 0)) == framing.MOST_ENTRIES
    assert framing.take_chunk(small, 198) == small[198:]
    large = [entry("x" * framing.MOST_BYTES, envelope="raw", seq=seq) for seq in range(1, 4)]
    assert framing.take_chunk(large, 1) == large[1:2]


async def test_the_hub_hears_of_streams_nobody_follows_without_harm(node: Node) -> None:
    listener: Listener = node.hub
    listener.arrived([entry(stream="inbox:stranger")])
    listener.signed_out([sign_out("stranger", NOW)])
    assert node.hub.streams._buffers == {}
