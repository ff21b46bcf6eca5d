"""Limits of sessions per user, on one node and across nodes."""

import asyncio
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from adapters.memory.backplane import Bus
from adapters.memory.presence import MemoryPresence, Roll
from application.hub.policy import HubPolicy
from domain.caller_errors import TooManyAnonymous, TooManySessions, TooManySessionsElsewhere
from tests.support.backplanes import MutedBackplane
from tests.support.core import (
    IMPATIENT,
    STREAM,
    Node,
)


def allowing(sessions: int) -> HubPolicy:
    return replace(IMPATIENT, sessions_per_user=sessions)


async def test_the_sessions_of_a_user_are_limited() -> None:
    node = await Node(policy=allowing(3)).start()
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


async def test_anonymous_sessions_are_limited() -> None:
    node = await Node(policy=replace(IMPATIENT, anonymous_sessions=2)).start()
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


async def test_the_sessions_of_a_user_are_limited_across_nodes() -> None:
    roll: Roll = []
    here, there = [await Node(policy=allowing(3), roll=roll).start() for _ in range(2)]
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


async def test_a_session_that_ends_on_one_node_soon_frees_a_slot_on_another() -> None:
    roll: Roll = []
    here, there = [await Node(policy=allowing(1), roll=roll).start() for _ in range(2)]
    session = await here.open("ada")
    here.hub.remove(session)
    with pytest.raises(TooManySessionsElsewhere):
        await there.open("ada")
    await asyncio.gather(here.sweep(), there.sweep())
    await there.open("ada")


async def test_all_users_are_reported_after_an_outage_of_the_backplane() -> None:
    roll: Roll = []
    nodes = [await Node(None, MutedBackplane(Bus()), policy=allowing(1), roll=roll).start() for _ in range(2)]
    await nodes[0].open("ada")
    nodes[0].backplane.leave()
    roll[0].clear()
    nodes[0].backplane.come_back()
    await nodes[0].sweep()
    with pytest.raises(TooManySessionsElsewhere):
        await nodes[1].open("ada")


async def test_a_failed_report_is_repeated() -> None:
    class UnavailablePresence(MemoryPresence):
        unavailable = False

        async def update(self, counts: Mapping[str, int]) -> bool:
            return False if self.unavailable else await super().update(counts)

    roll: Roll = []
    presence = UnavailablePresence(roll)
    here = await Node(policy=allowing(1), presence=presence).start()
    there = await Node(policy=allowing(1), roll=roll).start()
    session = await here.open("ada")
    presence.unavailable = True
    here.hub.remove(session)
    await here.sweep()
    with pytest.raises(TooManySessionsElsewhere):
        await there.open("ada")
    presence.unavailable = False
    await here.sweep()
    await there.open("ada")


async def test_connected_users_are_reported_again_periodically() -> None:
    roll: Roll = []
    policy = replace(allowing(1), full_report_sweeps=3)
    nodes = [await Node(policy=policy, roll=roll).start() for _ in range(2)]
    await nodes[0].open("ada")
    roll[0].clear()
    await nodes[0].sweep(3)
    with pytest.raises(TooManySessionsElsewhere):
        await nodes[1].open("ada")
