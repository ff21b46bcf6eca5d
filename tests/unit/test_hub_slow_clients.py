"""Clients that read slowly or not at all, and the memory used by sessions."""

import pytest
from msgspec.structs import replace

from application.hub.policy import BufferPolicy
from domain.protocol.herald_v1 import CloseCode
from tests.support.core import (
    IMPATIENT,
    STREAM,
    Node,
    Reader,
    settle,
)
from tests.support.reading import until


@pytest.fixture
async def node() -> Node:
    return await Node().start()


async def test_a_client_that_never_reads_is_closed_and_delays_no_other(node: Node) -> None:
    stuck = Reader(node, await node.open(protocol=True))
    stuck.going.clear()
    reader = Reader(node, await node.open())
    await until(lambda: stuck.oldest_unsent is not None)
    await node.sweep(IMPATIENT.stalled_after_sweeps - 1)
    assert stuck.session.close_reason is None
    for start in range(0, IMPATIENT.buffers.max_entries * 3, 100):
        await node.send(*(node.news(n) for n in range(start, start + 100)))
        await settle()
    assert len(reader.texts) >= IMPATIENT.buffers.max_entries * 3
    buffer = node.hub.streams._buffers["feed:news"]
    assert len(buffer.entries) <= IMPATIENT.buffers.max_entries
    assert not stuck.session._answers
    assert stuck.session.positions.values == [0]
    await node.sweep(2)
    assert stuck.session.close_reason is not None
    assert stuck.session.close_reason.code == CloseCode.TOO_SLOW
    assert reader.session.close_reason is None
    await node.sweep(IMPATIENT.force_close_after_sweeps + 1)
    await settle()
    assert stuck.ended
    assert stuck.session not in node.hub.sessions


async def test_a_client_that_reads_occasionally_is_not_too_slow(node: Node) -> None:
    reader = Reader(node, await node.open())
    for _ in range(3):
        reader.going.clear()
        await node.send(node.news(1))
        await settle()
        await node.sweep(IMPATIENT.stalled_after_sweeps - 1)
        reader.going.set()
        await settle()
    assert reader.session.close_reason is None


async def test_an_idle_client_is_not_too_slow(node: Node) -> None:
    reader = Reader(node, await node.open())
    await settle()
    await node.sweep(IMPATIENT.stalled_after_sweeps * 3)
    assert reader.session.close_reason is None
    assert not reader.ended


async def test_a_session_that_never_gets_a_transport_is_removed(node: Node) -> None:
    session = await node.open(endpoint=STREAM)
    await node.sweep(IMPATIENT.no_transport_after_sweeps + 1)
    assert session not in node.hub.sessions
    # If the client starts reading after all, its stream ends, so that it reconnects.
    reader = Reader(node, session)
    await node.send(node.news("x"))
    await settle()
    ended = reader.ended
    await reader.leave()
    assert ended


async def test_the_bytes_of_all_buffers_are_limited() -> None:
    policy = replace(IMPATIENT, buffers=BufferPolicy(max_total_bytes=50_000))
    node = await Node(policy=policy).start()
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


async def test_memory_is_freed_when_all_sessions_have_ended(node: Node) -> None:
    readers = [Reader(node, await node.open(f"u{number}")) for number in range(20)]
    await node.send(node.news("x"), *(node.direct(f"u{number}", "x") for number in range(20)))
    await settle()
    for reader in readers:
        await reader.leave()
    await node.sweep(IMPATIENT.buffers.forget_after_sweeps + 1)
    hub = node.hub
    assert (hub.sessions, list(hub._users), hub.streams._buffers, hub.streams._weight, hub.streams._fetches) == (
        {},
        [],
        {},
        0,
        {},
    )
    assert node.backplane._streams == set()
