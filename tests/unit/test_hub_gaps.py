"""Positions with several entries, and entries that have been deleted."""

from typing import Any

import pytest

from adapters.memory.backplane import Bus
from adapters.memory.shared_records import Limits
from application.ports.store import StreamPage
from domain.positions import Cursor, Head, tag_of
from domain.protocol.entry_kinds import View
from domain.protocol.herald_v1 import CloseCode
from tests.support.backplanes import MutedBackplane
from tests.support.core import (
    IMPATIENT,
    PLAIN,
    STREAM,
    FaultyStore,
    Node,
    Reader,
    entry,
    settle,
)


@pytest.fixture
async def node() -> Node:
    return await Node().start()


async def test_a_catch_up_does_not_end_inside_a_position() -> None:
    """A bulk change gives up to 500 notifications one position (docs/decisions/0001-positions.md)."""

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
    await settle()
    assert [one["seq"] for one in reader.objects if one["kind"] == "notification"] == list(range(1, 301))


async def test_entries_that_share_a_position_are_sent_together() -> None:
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
    for after, count in ((2, 5), (3, 4), (4, 1)):
        frames = buffer.frames_after(view, after)
        assert frames is not None
        assert (frames.objects, frames.upto) == (count, 5)


@pytest.mark.parametrize("kind", ["plain", "v1", "sse"])
async def test_deleted_entries_are_reported_during_a_session(kind: str) -> None:
    node = await Node(FaultyStore(Limits(entries_per_stream=10)), MutedBackplane(Bus())).start()
    session = await node.open(endpoint=STREAM if kind == "sse" else PLAIN, protocol=kind == "v1")
    reader = Reader(node, session)
    await settle()
    node.backplane.muted = True
    await node.send(*(node.news(n) for n in range(30)))
    await node.sweep(IMPATIENT.comparison_sweeps + 1)
    await settle()
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


async def test_deleted_entries_are_reported_even_if_many_answers_are_pending() -> None:
    node = await Node(FaultyStore(Limits(entries_per_stream=10)), MutedBackplane(Bus())).start()
    session = await node.open(protocol=True, feeds=("news",))
    for _ in range(IMPATIENT.session.max_pending_answers):
        session.answer('{"kind":"pong"}')
    node.backplane.muted = True
    await node.send(*(node.news(n) for n in range(30)))
    await node.sweep(IMPATIENT.comparison_sweeps + 1)
    reader = Reader(node, session)
    await settle()
    kinds = [one["kind"] for one in reader.objects]
    assert "gap" in kinds
    assert kinds.index("gap") < kinds.index("broadcast")


@pytest.mark.parametrize("kind", ["v1", "sse"])
async def test_a_cursor_before_the_oldest_kept_entry_is_a_gap_and_the_kept_entries_follow(kind: str) -> None:
    node = await Node(FaultyStore(Limits(entries_per_stream=10))).start()
    more: dict[str, Any] = {"endpoint": STREAM if kind == "sse" else PLAIN, "protocol": kind == "v1"}
    cursor = (await node.open(**more)).cursor
    await node.send(*(node.news(n) for n in range(30)))
    reader = Reader(node, await node.open(**more, cursor=cursor))
    await settle()
    assert reader.objects[0]["gap"] == ["news"]
    assert reader.texts == list(range(20, 30))


@pytest.mark.parametrize("cursor", ["rubbish", "1.other..news:1", "1.e.abcdef.news:1"])
async def test_a_cursor_of_another_store_is_a_gap_and_new_entries_arrive(node: Node, cursor: str) -> None:
    await node.send(node.news("old"))
    reader = Reader(node, await node.open(protocol=True, cursor=cursor))
    await settle()
    await node.send(node.news("new"))
    await settle()
    assert (reader.objects[0]["resumed"], reader.objects[0]["gap"]) == (False, ["news"])
    assert reader.texts == ["new"]
