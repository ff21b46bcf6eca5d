"""After the routes were replaced, each session is checked: whether its client would get the same streams by them."""

import asyncio

import pytest
from msgspec.structs import replace

from application.hub.session import Session
from application.live.recheck_sessions import RecheckSessions
from domain.protocol.herald_v1 import CloseCode
from domain.routes_version import version_of
from tests.support.core import IMPATIENT, PLAIN, ROUTES, STREAM, Node, Reader, settle, table

MORE = ROUTES + '[feeds.more]\naccess = "public"\n[[routes]]\nsource = "more"\nfeed = "more"\n'
STAFF_ONLY = ROUTES.replace('[feeds.news]\naccess = "public"', '[feeds.news]\naccess = "scope:news"')
OTHER_PROFILE = ROUTES.replace('profile = "trading"', 'profile = "other"')


@pytest.fixture
async def node() -> Node:
    return await Node().start()


def force(node: Node, routes: str) -> None:
    new = table(routes)
    node.routes.replace(new, version_of(new))


async def recheck(node: Node, *, batch: int = 500) -> int:
    policy = replace(IMPATIENT, max_batch=batch, reopening_s=0.0, sweep_interval_s=0.0)
    return await RecheckSessions(node.hub, node.open_session, policy)()


async def greeted(node: Node, user: str | None = None) -> tuple[Session, Reader]:
    """Open a `herald.v1` session and wait for its `hello`."""
    session = await node.open(user, protocol=True)
    reader = Reader(node, session)
    await settle()
    assert session.hello_sent
    return session, reader


async def test_sessions_stay_if_their_streams_stay(node: Node) -> None:
    sessions = [
        await node.open(),
        await node.open("ada"),
        await node.open("ada", endpoint=STREAM),
        (await greeted(node, "ada"))[0],
    ]
    force(node, ROUTES.replace('source = "direct"', 'source = "direct.*"'))
    assert await recheck(node) == 0
    assert [session.close_reason for session in sessions] == [None] * 4


@pytest.mark.parametrize("routes", [MORE, STAFF_ONLY, OTHER_PROFILE])
async def test_a_socket_with_other_streams_gets_another_session(node: Node, routes: str) -> None:
    plain, (session, _) = await node.open(), await greeted(node)
    force(node, routes)
    assert await recheck(node) == 2
    for one in (plain, session):
        assert one.replacement is not None
        assert one.replacement.identity == one.identity


async def test_the_form_of_events_counts_too(node: Node) -> None:
    """If its profile is no longer loaded, an endpoint shows the notifications of all profiles."""
    session = await node.open("ada", endpoint=replace(PLAIN, feeds=False))
    force(node, OTHER_PROFILE)
    assert await recheck(node) == 1
    assert session.replacement is not None


async def test_a_client_may_have_asked_for_a_feed_that_is_gone(node: Node) -> None:
    session = await node.open(feeds=("news",))
    force(node, STAFF_ONLY)
    await recheck(node)
    assert session.replacement is not None


async def test_the_latest_identity_of_a_session_counts(node: Node) -> None:
    session, _ = await greeted(node, "ada")
    session.refresh_identity(node.me("ada", scopes=frozenset({"news"})))
    force(node, STAFF_ONLY)
    assert await recheck(node) == 0


async def test_an_event_stream_ends_with_a_request_to_reconnect(node: Node) -> None:
    session = await node.open(endpoint=STREAM, protocol=True)
    reader = Reader(node, session)
    await settle()
    force(node, MORE)
    assert await recheck(node) == 1
    await settle()
    assert reader.ended
    assert reader.objects[-1]["code"] == CloseCode.RESTARTING
    assert reader.objects[-1]["reconnect_in"] > 0


async def test_a_client_whose_first_command_is_awaited_is_asked_to_reconnect(node: Node) -> None:
    session = await node.open(protocol=True)
    force(node, MORE)
    assert await recheck(node) == 1
    assert session.close_reason is not None
    assert session.close_reason.code == CloseCode.RESTARTING
    assert session.replacement is None


async def test_all_sessions_are_checked_in_parts(node: Node) -> None:
    sessions = [await node.open() for _ in range(25)]
    force(node, MORE)
    assert await recheck(node, batch=10) == 25
    assert all(session.replacement is not None for session in sessions)


async def test_a_session_that_is_opened_while_routes_are_replaced_follows_the_new_ones(node: Node) -> None:
    epoch, gate = node.store.epoch, asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return str(await epoch())

    node.store.epoch = slow
    opening = asyncio.create_task(node.open())
    await settle()
    force(node, MORE)
    assert await recheck(node) == 0
    gate.set()
    session = await opening
    assert set(session.positions.by_name) == {"news", "more"}
    assert list(node.hub.sessions) == [session]
