"""Draining a node: every session receives the stored entries and is closed."""

import asyncio

import pytest

from adapters.memory.backplane import Bus
from domain.caller_errors import Draining
from domain.protocol.herald_v1 import CloseCode
from tests.support.backplanes import SlowBackplane
from tests.support.core import (
    PLAIN,
    STREAM,
    Node,
    Reader,
    settle,
)


@pytest.fixture
async def node() -> Node:
    return await Node().start()


@pytest.mark.parametrize("kind", ["plain", "v1", "sse"])
async def test_a_drain_delivers_stored_entries_and_sends_bye(node: Node, kind: str) -> None:
    readers = [
        Reader(node, await node.open("ada", endpoint=STREAM if kind == "sse" else PLAIN, protocol=kind == "v1"))
        for _ in range(5)
    ]
    await settle()
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
    await settle()
    assert session is None or session.close_reason is not None
    draining.cancel()
