"""Entries lost by the backplane reach the sessions from the store."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.memory.backplane import Bus
from adapters.memory.inboxes import MemoryInboxes
from application.hub.stream_buffer import StreamBuffer
from application.ports.backplane import Listener
from application.ports.store import Moved, StoreUnavailable, StreamPage
from domain.notifications import NotificationFilter
from domain.positions import Cursor, Head, tag_of
from domain.protocol.entry_kinds import View
from domain.streams import StreamName
from tests.support.backplanes import MutedBackplane
from tests.support.core import (
    IMPATIENT,
    NOW,
    PLAIN_ALL,
    FaultyStore,
    Node,
    Reader,
    entry,
    message,
    settle,
    sign_out,
)
from tests.support.reading import until


@pytest.fixture
async def node() -> Node:
    return await Node().start()


async def test_a_session_that_catches_up_is_sent_whole_notifications_not_changes(node: Node) -> None:
    """It has been sent position 2 only. Notification 1 has been read meanwhile, so its last change is after position
    4."""
    warm = Reader(node, await node.open("ada", protocol=True, cursor="none"))
    await node.send(*[node.direct(["ada"], text) for text in ("one", "two", "three", "four")])
    inboxes = MemoryInboxes(node.store.records)
    (first,) = (await inboxes.page("ada", NotificationFilter(), 1, before=2)).notifications
    marked = await inboxes.change("ada", first.id, "read", NOW)
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


async def test_entries_that_the_backplane_loses_arrive_within_a_few_sweeps() -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    readers = [Reader(node, await node.open(user, protocol=True)) for user in ("ada", "bob", None)]
    node.backplane.muted = True
    await node.send(node.direct("ada", "a"), node.direct("bob", "b"), node.news("n"))
    await node.sweep(IMPATIENT.comparison_sweeps + 1)
    await settle()
    assert [sorted(reader.texts) for reader in readers] == [["a", "n"], ["b", "n"], ["n"]]
    assert node.counters.healed == 3


async def test_many_sessions_are_checked_in_batches_and_none_is_skipped() -> None:
    policy = replace(IMPATIENT, max_batch=3, sweep_interval_s=0.02)
    node = await Node(backplane=MutedBackplane(Bus()), policy=policy).start()
    users = [f"user-{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user)) for user in users]
    node.backplane.muted = True
    await node.send(*(node.direct(user, user) for user in users))
    await node.sweep(IMPATIENT.comparison_sweeps + 1)
    assert [reader.texts for reader in readers] == [[user] for user in users]
    assert {node.hub.sessions[reader.session].sweeps for reader in readers} == {IMPATIENT.comparison_sweeps + 1}


async def test_a_session_that_ends_between_two_batches_is_not_checked() -> None:
    node = await Node(policy=replace(IMPATIENT, max_batch=1, sweep_interval_s=0.5)).start()
    liveness = node.hub.sessions
    for number in range(2):
        await node.open(f"user-{number}")
    sweeping = asyncio.create_task(node.hub.sweep())
    while not any(one.sweeps for one in liveness.values()):
        await asyncio.sleep(0)
    ((session, counts),) = [(session, counts) for session, counts in liveness.items() if not counts.sweeps]
    node.hub.remove(session)
    await sweeping
    assert counts.sweeps == 0


async def test_a_second_session_of_a_stream_whose_first_entry_was_lost_wakes_the_first() -> None:
    backplane = MutedBackplane()
    node = await Node(backplane=backplane).start()
    first = Reader(node, await node.open("ada"))
    await settle()
    backplane.muted = True
    await node.send(node.direct(["ada"], "lost"))
    await node.open("ada")
    await node.sweep(12)
    assert first.texts == ["lost"]


async def test_every_stream_is_compared_in_each_sweep_of_an_outage_of_the_backplane() -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    users = [f"u{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user, protocol=True)) for user in users]
    signed_out = await node.open("gone", identity=node.me("gone"))
    node.backplane.leave()
    for number in range(3):
        await node.send(*(node.direct(user, number) for user in users))
        await node.sweep()
        await settle()
        assert [reader.texts for reader in readers] == [[*range(number + 1)]] * 20
    await node.send(message("bye", {"user_id": "gone"}, "s"))
    await node.sweep()
    assert signed_out.close_reason is not None


async def test_streams_are_still_compared_while_other_nodes_lack_the_backplane() -> None:
    """Entries of a node that has not reconnected to the backplane do not reach other nodes by it."""
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
    await settle()
    assert [reader.texts for reader in readers] == [["late"]] * 20


@pytest.mark.parametrize("seconds", [0, 1])
async def test_every_stream_is_compared_after_the_backplane_returned(seconds: int) -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    users = [f"u{number}" for number in range(20)]
    readers = [Reader(node, await node.open(user, protocol=True)) for user in users]
    node.backplane.leave()
    await node.sweep(seconds)
    await node.send(*(node.direct(user, "x") for user in users))
    node.backplane.come_back()
    await node.sweep(2)
    await settle()
    assert [reader.texts for reader in readers] == [["x"]] * 20


async def test_following_an_empty_stream_wakes_no_other_session(node: Node) -> None:
    class Follower:
        woken = 0

        def wake(self) -> None:
            self.woken += 1

    follower = Follower()
    (buffer,) = await node.hub.streams.follow(["feed:news"])
    buffer.followers.add(follower)
    for _ in range(3):
        await node.open("bob", protocol=True)
    assert follower.woken == 0
    await node.send(node.news("n"))
    assert follower.woken == 1


class StoreWithMoves(FaultyStore):
    """A store that knows which streams have changed: those that the test names."""

    moves: frozenset[str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[str | None] = []
        self.compared: list[str] = []

    async def moved(self, since: str | None) -> Moved:
        self.marks.append(since)
        return Moved(self.moves, f"mark-{len(self.marks)}")

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        names = list(streams)
        self.compared += names
        return await super().heads(names)


async def test_only_streams_that_have_changed_are_compared() -> None:
    store = StoreWithMoves()
    node = await Node(store, MutedBackplane(Bus())).start()
    readers = [Reader(node, await node.open(user, protocol=True)) for user in ("ada", "bob")]
    node.backplane.muted = True
    await node.send(node.direct("ada", "a"), node.direct("bob", "b"))
    store.moves = frozenset({"inbox:ada", "inbox:of-another-node", "feed:of-another-node"})
    store.compared.clear()
    await node.sweep(IMPATIENT.comparison_sweeps + 1)
    await settle()
    assert store.compared == ["inbox:ada"]
    assert [reader.texts for reader in readers] == [["a"], []]
    assert store.marks == [None]
    await node.sweep(IMPATIENT.comparison_sweeps)
    assert store.marks == [None, "mark-1"]


async def test_a_sign_out_of_a_user_without_an_inbox_stream_is_found() -> None:
    store = StoreWithMoves()
    node = await Node(store, MutedBackplane(Bus())).start()
    session = await node.open("ada", endpoint=PLAIN_ALL, identity=node.me("ada"))
    node.backplane.muted = True
    await node.send(message("bye", {"user_id": "ada"}, "s"))
    store.moves = frozenset({"inbox:ada"})
    await node.sweep(IMPATIENT.comparison_sweeps)
    assert session.close_reason is not None


async def test_a_comparison_that_fails_is_repeated_from_the_same_mark() -> None:
    store = StoreWithMoves()
    node = await Node(store, MutedBackplane(Bus())).start()
    reader = Reader(node, await node.open("ada", protocol=True))
    node.backplane.muted = True
    await node.send(node.direct("ada", "a"))
    store.moves = frozenset({"inbox:ada"})
    await node.sweep(IMPATIENT.comparison_sweeps - 1)
    store.away = 1
    with pytest.raises(StoreUnavailable):
        await node.sweep()
    await node.sweep(2)
    await settle()
    assert (store.marks, reader.texts) == ([None, None], ["a"])


async def test_an_unavailable_store_delays_entries_and_loses_none(node: Node) -> None:
    reader = Reader(node, await node.open("ada", cursor=(await node.open("ada")).cursor))
    buffer = node.hub.streams._buffers["inbox:ada"]
    await node.record(node.direct("ada", 1), node.direct("ada", 2))
    recorded = await node.record(node.direct("ada", 3))
    node.store.away = 3
    await node.backplane.publish(recorded.entries, ())
    await until(lambda: reader.texts == [1, 2, 3])
    assert buffer.head == 3


async def test_a_head_beyond_the_store_does_not_cause_a_busy_loop() -> None:
    """A head beyond that of the store (after a restore from backup) delays the session and does not block the event
    loop."""

    class Restored(FaultyStore):
        async def arrivals(self, stream: str, after: int, limit: int) -> StreamPage:
            return StreamPage((), min(after, 1), Head(1))

    node = await Node(Restored()).start()
    session = await node.open(feeds=("news",))
    node.hub.arrived([entry(seq=5)])
    turns = 0
    ready = StreamBuffer.frames_after

    def counted(buffer: StreamBuffer, view: View, after: int) -> Any:
        nonlocal turns
        turns += 1
        if turns > 1000:
            raise AssertionError("the session spins without an await")
        return ready(buffer, view, after)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamBuffer, "frames_after", counted)
        reader = Reader(node, session)
        await settle()
        assert not reader.ended
        await reader.leave()


async def test_entries_of_streams_without_followers_are_ignored(node: Node) -> None:
    listener: Listener = node.hub
    listener.arrived([entry(stream="inbox:stranger")])
    listener.signed_out([sign_out("stranger", NOW)])
    assert node.hub.streams._buffers == {}
