"""Delivery of entries to the sessions that follow their streams."""

import asyncio
import json

import pytest

from adapters.memory.backplane import Bus
from domain.protocol.entry_kinds import View
from tests.support.backplanes import SlowBackplane
from tests.support.core import (
    IMPATIENT,
    PLAIN,
    STREAM,
    Node,
    Reader,
    events_in,
    settle,
)
from tests.support.reading import until


@pytest.fixture
async def node() -> Node:
    return await Node().start()


@pytest.mark.parametrize("protocol", [False, True])
async def test_entries_reach_the_sessions_that_follow_their_stream_and_no_others(node: Node, protocol: bool) -> None:
    ada, bob, none = [Reader(node, await node.open(user, protocol=protocol)) for user in ("ada", "bob", None)]
    await node.send(node.news("n1"), node.direct("ada", "a1"), node.news("s1", "staff"), node.direct("bob", "b1"))
    await node.send(node.news("n2"), node.news("x", "secret"))
    await settle()
    assert sorted(ada.texts) == ["a1", "n1", "n2", "s1"]
    assert sorted(bob.texts) == ["b1", "n1", "n2", "s1"]
    assert none.texts == ["n1", "n2"]


async def test_sessions_at_the_same_position_share_one_rendering(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    text = View.text
    monkeypatch.setattr(View, "text", lambda view, one: rendered.append(one) or text(view, one))
    for protocol in (True, False):
        readers = [Reader(node, await node.open(protocol=protocol)) for _ in range(50)]
        await settle()
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


async def test_clients_that_resume_at_the_same_position_share_one_read(node: Node) -> None:
    cursor = (await node.open()).cursor
    await node.send(*(node.news(n) for n in range(IMPATIENT.buffers.max_entries * 2)))
    readers = [Reader(node, await node.open(cursor=cursor)) for _ in range(20)]
    node.store.calls.clear()
    await until(lambda: all(reader.texts == list(range(IMPATIENT.buffers.max_entries * 2)) for reader in readers))
    assert (
        node.store.calls.count("arrivals")
        <= IMPATIENT.buffers.max_entries * 2 / IMPATIENT.buffers.max_chunk_entries + 2
    )


async def test_entries_stored_right_after_opening_arrive_with_a_slow_backplane() -> None:
    node = await Node(backplane=SlowBackplane(Bus())).start()
    for number in range(8):
        session = await node.open("ada", protocol=number % 2 == 0)
        await node.send(node.direct("ada", number), node.news(number))
        reader = Reader(node, session)
        await until(lambda: reader.texts.count(number) == 2)  # noqa: B023 - done with before the next
        await reader.leave()
        # The buffer is removed and followed again concurrently.
        for _ in range(IMPATIENT.buffers.forget_after_sweeps):
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


async def test_a_filter_by_type_hides_other_types_and_the_cursor_moves_on(node: Node) -> None:
    for endpoint, protocol in ((PLAIN, False), (PLAIN, True), (STREAM, False)):
        reader = Reader(node, await node.open("ada", endpoint=endpoint, protocol=protocol, types=frozenset({"other"})))
        await node.send(node.direct("ada", "a"), node.news("n"))
        await settle()
        assert reader.texts == []
        heads = await node.store.heads(["inbox:ada", "feed:news"])
        assert reader.session.positions.by_name["inbox"] == heads["inbox:ada"].last
        assert reader.session.positions.by_name["news"] == heads["feed:news"].last
        await reader.leave()


@pytest.mark.parametrize("user", [None, "ada"])
@pytest.mark.parametrize("protocol", [False, True])
async def test_the_id_of_every_event_resumes_right_after_it(node: Node, user: str | None, protocol: bool) -> None:
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


@pytest.mark.parametrize("kind", ["v1", "sse", "plain"])
async def test_heartbeats_carry_the_cursor_and_plain_sockets_have_none(node: Node, kind: str) -> None:
    session = await node.open("ada", endpoint=STREAM if kind == "sse" else PLAIN, protocol=kind == "v1")
    reader = Reader(node, session)
    await node.send(node.direct("ada", "x"))
    await settle()
    await node.sweep(60)
    await settle()
    beats = [one for one in reader.objects if "heartbeat" in (one.get("kind"), one.get("type"))]
    if kind == "plain":
        assert beats == []
        return
    # Two sweeps 30 s apart passed without the loop running in between: at least one heartbeat, with a cursor after the
    # entry.
    assert beats
    resumed = await node.open("ada", endpoint=STREAM, cursor=beats[-1]["cursor"])
    assert resumed.resume_point.resumed
    assert resumed.positions.by_name["inbox"] == 1
