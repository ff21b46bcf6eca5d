"""Opening a session: the streams that a caller may follow, and what each endpoint shows of them."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from application.access.identify import IdentifyCaller
from application.hub.session import Session
from application.live.addresses import addresses
from domain.caller_errors import AccessRefused, NotYours, SignedOut, TokenMissing, UnknownFeed
from domain.endpoints import Endpoint
from domain.identity import NOBODY, Identity
from tests.support.core import IMPATIENT, PLAIN, STREAM, Node, Reader, message, settle, shipped_table

EVERYONE = {"news"}
SIGNED = {"news", "staff"}


@pytest.fixture
async def node() -> Node:
    return await Node().start()


def names(session: Session) -> set[str]:
    return set(session.positions.by_name)


# --- streams --------------------------------------------------------------------------------------------------


async def test_an_anonymous_caller_follows_public_feeds(node: Node) -> None:
    for protocol in (False, True):
        assert names(await node.open(protocol=protocol)) == EVERYONE


async def test_a_user_follows_their_inbox_and_accessible_feeds(node: Node) -> None:
    assert names(await node.open("ada")) == {*SIGNED, "inbox"}
    assert names(await node.open("ada", protocol=True)) == {*SIGNED, "inbox"}
    session = await node.open(identity=node.me("ada", scopes=frozenset({"secrets"})))
    assert names(session) == {*SIGNED, "secret", "inbox"}
    assert {buffer.name for buffer in session.positions.buffers if "inbox" in buffer.name} == {"inbox:ada"}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (Endpoint(name="x", path="/x", transport="ws", profile="trading"), SIGNED),
        (Endpoint(name="x", path="/x", transport="ws", profile="trading", feeds=False, inbox="profile"), {"inbox"}),
        (Endpoint(name="x", path="/x", transport="ws", profile="absent", inbox="all"), {*SIGNED, "inbox"}),
    ],
)
async def test_an_endpoint_determines_the_streams_of_plain_clients_only(
    node: Node, endpoint: Endpoint, expected: set[str]
) -> None:
    assert names(await node.open("ada", endpoint=endpoint)) == expected
    assert names(await node.open("ada", endpoint=endpoint, protocol=True)) == {*SIGNED, "inbox"}


async def test_feeds_are_filtered(node: Node) -> None:
    assert names(await node.open("ada", feeds=("news",))) == {"news", "inbox"}
    assert names(await node.open("ada", feeds=("news", "news"))) == {"news", "inbox"}
    assert names(await node.open(None, feeds=("news",))) == {"news"}


@pytest.mark.parametrize(
    ("user", "feeds", "refusal"),
    [
        (None, ("staff",), TokenMissing),
        (None, ("news", "secret"), TokenMissing),
        ("ada", ("secret",), NotYours),
        ("ada", ("nowhere",), UnknownFeed),
        (None, ("nowhere",), UnknownFeed),
        ("ada", ("news", "nowhere"), UnknownFeed),
        ("ada", ("inbox",), UnknownFeed),
        ("ada", ("inbox:bob",), UnknownFeed),
    ],
)
async def test_a_requested_feed_that_is_inaccessible_or_unknown_is_refused(
    node: Node, user: str | None, feeds: tuple[str, ...], refusal: type[Exception]
) -> None:
    for protocol in (False, True):
        with pytest.raises(refusal):
            await node.open(user, feeds=feeds, protocol=protocol)
    assert not node.hub.sessions
    assert node.counters.sessions == {}


@pytest.mark.parametrize(
    ("user", "feed", "text"),
    [
        (None, "secret", "A token with the scope secrets is needed."),
        ("ada", "secret", "This feed needs a token with the scope secrets."),
        (None, "staff", "A token is needed."),
    ],
)
async def test_the_refusal_names_the_scope_that_a_feed_needs(
    node: Node, user: str | None, feed: str, text: str
) -> None:
    with pytest.raises(AccessRefused) as refused:
        await node.open(user, feeds=(feed,), protocol=True)
    assert refused.value.detail == text


async def test_an_unknown_feed_is_named_and_truncated_if_long(node: Node) -> None:
    for name, shown in (("nowhere", '"nowhere"'), ("n" * 5_000, f'"{"n" * 64}…"')):
        with pytest.raises(UnknownFeed) as refused:
            await node.open("ada", feeds=(name,))
        assert refused.value.detail == f"There is no feed {shown} at this endpoint."


async def test_a_feed_of_another_endpoint_is_unknown(node: Node) -> None:
    without_feeds = Endpoint(name="x", path="/x", transport="ws", profile="trading", feeds=False, inbox="profile")
    with pytest.raises(UnknownFeed):
        await node.open("ada", endpoint=without_feeds, feeds=("news",))
    assert names(await node.open("ada", endpoint=without_feeds, feeds=("news",), protocol=True)) == {"news", "inbox"}


async def test_without_public_streams_a_token_is_required() -> None:
    node = await Node(
        routes='profile = "p"\n[feeds.staff]\naccess = "signed-in"\n[[routes]]\nsource = "s"\nfeed = "staff"'
    ).start()
    endpoint = Endpoint(name="x", path="/x", transport="ws", profile="p")
    for protocol in (False, True):
        with pytest.raises(TokenMissing):
            await node.open(None, endpoint=endpoint, protocol=protocol)


async def test_sessions_are_counted_by_endpoint(node: Node) -> None:
    await node.open()
    await node.open(endpoint=STREAM)
    await node.open("ada", endpoint=STREAM)
    assert node.counters.sessions == {("trading", "main"): 1, ("products", "main"): 2}


# --- endpoints ------------------------------------------------------------------------------------------------


EVERY = shipped_table("all")
SHIPPED = {endpoint.name: endpoint for endpoint in EVERY.endpoints}


@pytest.mark.parametrize(
    ("profile", "user", "expected"),
    [
        ("all", "ada", "trading"),
        ("all", None, "orders"),
        ("orders", "ada", "orders"),
        ("orders", None, "orders"),
        ("trading", "ada", "trading"),
        ("trading", None, "orders"),
        ("products", "ada", "trading"),
        ("products", None, "orders"),
    ],
)
def test_two_endpoints_on_one_path_are_selected_by_profile_and_user(
    profile: str, user: str | None, expected: str
) -> None:
    table = shipped_table(profile)
    (address,) = (one for one in addresses(table) if one.path == "/ws")
    assert address.select(table, user).name == expected
    assert address.query_parameter == "user_id"


@pytest.mark.parametrize(
    ("endpoint", "user", "expected"),
    [
        ("signals", None, {"signals"}),
        ("signals", "ada", {"signals"}),
        ("trading", "ada", {"market", "inbox"}),
        ("groups", "ada", {"inbox"}),
        ("orders", "ada", {"orders", "inbox"}),
        ("products", None, {"products"}),
        ("products", "ada", {"products", "inbox"}),
    ],
)
async def test_clients_of_replaced_services_see_their_own_service_only(
    endpoint: str, user: str | None, expected: set[str]
) -> None:
    node = await Node(routes=EVERY).start()
    assert names(await node.open(user, endpoint=SHIPPED[endpoint])) == expected


async def test_a_plain_inbox_is_limited_to_its_profile(node: Node) -> None:
    other = Endpoint(name="groups", path="/groups", transport="ws", profile="trading", feeds=False, inbox="profile")
    reader = Reader(node, await node.open("ada", endpoint=other))
    sent = node.direct("ada", "x")
    await node.send(sent)
    await settle()
    assert reader.texts == ["x"]
    assert reader.session.view.inbox_profile == "trading"


# --- the first frame ------------------------------------------------------------------------------------------


async def test_only_a_herald_v1_socket_without_a_cursor_may_resume_by_a_command() -> None:
    session_policy = replace(IMPATIENT.session, first_command_timeout_s=60.0)
    node = await Node(policy=replace(IMPATIENT, session=session_policy)).start()
    cursor = (await node.open()).cursor
    for protocol, endpoint, shown, waits in [
        (True, PLAIN, None, True),
        (True, PLAIN, cursor, False),
        (True, STREAM, None, False),
        (False, PLAIN, None, False),
        (False, STREAM, None, False),
    ]:
        reader = Reader(node, await node.open(protocol=protocol, endpoint=endpoint, cursor=shown))
        await settle()
        greets = protocol or endpoint is STREAM
        assert bool(reader.frames) == (greets and not waits)
        await reader.leave()


# --- open mode ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0, 120])
async def test_in_open_mode_a_sign_out_only_closes_sessions(node: Node, ahead: int) -> None:
    """Sessions opened after it are accepted, also within the same second, and whatever the clock of the producer
    says."""
    identify = IdentifyCaller(None, node.store, node.clock)
    before = await node.open(identity=await identify(None, "ada"))
    time = (node.clock.now() + timedelta(seconds=ahead)).isoformat()
    await node.send(message("bye", {"user_id": "ada", "timestamp": time}))
    assert before.close_reason is not None
    try:
        session = await node.open(identity=await identify(None, "ada"))
    except Exception as refusal:
        pytest.fail(f"refused: {refusal!r}")
    await node.sweep(6)
    assert session.close_reason is None


async def test_with_tokens_a_sign_out_refuses_older_tokens(node: Node) -> None:
    await node.send(message("bye", {"user_id": "ada"}))
    with pytest.raises(SignedOut):
        await node.open("ada")
    assert names(await node.open(identity=NOBODY)) == EVERYONE
    assert names(await node.open(identity=Identity("bob", issued_at=1.0))) == {*SIGNED, "inbox"}
    await asyncio.sleep(0)
