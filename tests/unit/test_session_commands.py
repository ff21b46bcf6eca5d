"""Commands of a herald.v1 client: resume, auth and ping, and invalid frames."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from application.access.identify import IdentifyCaller
from application.hub.session import Session
from application.hub.session_request import ConnectRequest
from application.live.session_commands import CommandPolicy
from domain.caller_errors import TokenExpired, TokenInvalid, Unavailable
from domain.identity import Identity
from domain.protocol.herald_v1 import CloseCode, CloseReason
from tests.support.core import IMPATIENT, NOW, Node, Reader, message, settle
from tests.unit.test_identify import Tokens

SOON = NOW.timestamp() + 100

# Far longer than a test: the wait for a first command ends only with a command.
PATIENT = replace(IMPATIENT, session=replace(IMPATIENT.session, first_command_timeout_s=30.0))

# The wait ends while the token of the first command is still being verified.
EAGER = replace(IMPATIENT, session=replace(IMPATIENT.session, first_command_timeout_s=0.01))

POLICY = CommandPolicy()


class Rig:
    """A node that knows some tokens, one session on it with a reader, and the commands of its client."""

    def __init__(self, node: Node, session: Session, request: ConnectRequest) -> None:
        self.node = node
        self.session = session
        self.tokens = Tokens(
            ada=Identity("ada", issued_at=NOW.timestamp() - 10, expires_at=SOON),
            ada2=Identity("ada", issued_at=NOW.timestamp() + 10, expires_at=SOON + 900),
            bob=Identity("bob", issued_at=NOW.timestamp()),
            old=TokenExpired(),
            bad=TokenInvalid(),
            away=Unavailable(),
        )
        identify = IdentifyCaller(self.tokens, node.store, node.clock)
        self.commands = node.commands(session, request, identify)
        self.reader = Reader(node, session)

    async def say(self, *commands: Any) -> list[dict[str, Any]]:
        """Process these commands. Returns the responses."""
        before = len(self.reader.objects)
        for command in commands:
            text = command if isinstance(command, str | bytes) else json.dumps(command)
            await self.commands(text)
        await asyncio.sleep(0.001)
        await settle()
        return self.reader.objects[before:]

    @property
    def code(self) -> int | None:
        return int(self.session.close_reason.code) if self.session.close_reason else None


async def rig(user: str | None = "ada", node: Node | None = None, **more: Any) -> Rig:
    node = node or await Node(policy=PATIENT).start()
    identity = Identity(user, issued_at=NOW.timestamp() - 10, expires_at=SOON) if user else None
    return await rig_of(node, node.request(user, protocol=True, identity=identity, **more))


async def rig_of(node: Node, request: ConnectRequest) -> Rig:
    return Rig(node, await node.open_session(request), request)


# --- resume ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["cursor", "positions"])
async def test_the_first_frame_may_resume(by: str) -> None:
    node = await Node(policy=PATIENT).start()
    before = await node.open("ada")
    await node.send(node.direct("ada", "a1"), node.news("n1"), node.direct("ada", "a2"))
    one = await rig(node=node)
    resume = (
        {"cursor": before.cursor} if by == "cursor" else {"epoch": before.epoch, "positions": before.positions.by_name}
    )
    said = await one.say({"resume": resume})
    assert (said[0]["kind"], said[0]["resumed"], said[0]["gap"]) == ("hello", True, [])
    assert said[0]["positions"] == {"inbox": 0, "news": 0, "staff": 0}
    assert sorted(one.reader.texts) == ["a1", "a2", "n1"]


async def test_events_during_the_wait_for_the_first_frame_arrive_once() -> None:
    one = await rig()
    cursor = one.session.cursor
    await one.node.send(one.node.direct("ada", "a1"))
    await settle()
    assert one.reader.frames == []
    await one.say({"resume": {"cursor": cursor}})
    await one.node.send(one.node.direct("ada", "a2"))
    await settle()
    assert one.reader.texts == ["a1", "a2"]


async def test_without_a_first_frame_the_session_starts_after_a_timeout() -> None:
    one = await rig(node=await Node().start())
    await one.node.send(one.node.direct("ada", "a1"))
    await settle()
    assert (one.reader.objects[0]["kind"], one.reader.objects[0]["resumed"]) == ("hello", False)
    assert one.reader.texts == ["a1"]


@pytest.mark.parametrize("resume", [{"cursor": "rubbish"}, {"epoch": "x", "positions": {"inbox": 0}}])
async def test_a_resume_from_another_epoch_is_a_gap(resume: Any) -> None:
    one = await rig()
    said = await one.say({"resume": resume})
    assert (said[0]["resumed"], sorted(said[0]["gap"])) == (False, ["inbox", "news", "staff"])


async def test_a_cursor_of_another_user_is_a_gap_and_reveals_nothing() -> None:
    node = await Node(policy=PATIENT).start()
    stolen = (await node.open("bob")).cursor
    await node.send(node.direct("ada", "a1"), node.direct("bob", "b1"))
    one = await rig(node=node)
    said = await one.say({"resume": {"cursor": stolen}})
    assert "inbox" in said[0]["gap"]
    assert one.reader.texts == []


async def test_a_late_resume_is_an_error_and_the_session_continues() -> None:
    one = await rig()
    await one.say({"ping": 1})
    said = await one.say({"resume": {"epoch": one.session.epoch, "positions": {"inbox": 0}}})
    assert [(o["kind"], o["code"]) for o in said] == [("error", "too_late")]
    with_cursor = await rig(node=one.node, cursor=one.session.cursor)
    said = await with_cursor.say({"resume": {"cursor": one.session.cursor}})
    assert "too_late" in [o.get("code") for o in said]
    assert one.code is with_cursor.code is None


async def test_a_resume_while_the_store_is_unavailable_is_not_lost() -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open("ada")).cursor
    await node.send(node.direct("ada", "a1"))
    one = await rig(node=node)
    node.store.away = 1
    await one.say({"resume": {"cursor": cursor}})
    # The session may be closed with a request to reconnect, or served a moment later, but not from another position.
    ended = one.reader.ended
    assert ended or one.reader.texts == ["a1"]
    if ended:
        await asyncio.gather(one.reader.task, return_exceptions=True)


# --- ping and invalid commands --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ping", "pong"),
    [
        (None, {"kind": "pong"}),
        (True, {"kind": "pong"}),
        (7, {"kind": "pong", "ping": 7}),
        ("x\ny", {"kind": "pong", "ping": "x\ny"}),
        ({"a": [1.5]}, {"kind": "pong", "ping": {"a": [1.5]}}),
        (10**30, {"kind": "pong", "ping": 10**30}),
    ],
)
async def test_a_ping_is_answered_with_its_value(ping: Any, pong: Any) -> None:
    one = await rig()
    assert (await one.say({"ping": ping}))[1:] == [pong]


async def test_no_nesting_depth_of_a_ping_is_an_internal_error() -> None:
    for depth in (100, *range(900, 1000), 20_000):
        one = await rig()
        await one.commands('{"ping":' + "[" * depth + "]" * depth + "}")
        await one.reader.leave()


MISTAKES = [b"", b'{"ping":1}', "", "rubbish", "[]", "{}", '{"nope":1}', "[" * 50_000, '{"resume":{"cursor":5}}', "\0"]
# These contain a token that cannot be verified.
WITHOUT_TOKEN = [
    '{"auth":null}',
    '{"auth":5}',
    '{"auth":{"t":1}}',
    '{"auth":null,"ping":1}',
    '{"auth":"ada2","nope":1}',
    '{"auth":undefined}',
    b'{"auth":"ada2"}',
    b'{"auth":null}',
]


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_an_invalid_command_is_an_error_and_repeated_ones_close_the_session(mistake: str | bytes) -> None:
    one = await rig()
    said = await one.say(mistake)
    assert [o["kind"] for o in said] == ["hello", "error"]
    assert said[1]["code"] == "invalid_input"
    assert one.code is None
    await one.say(*[mistake] * (POLICY.max_invalid_commands - 1))
    assert one.code == CloseCode.NOT_UNDERSTOOD
    assert one.reader.objects[-1]["kind"] == "bye"


@pytest.mark.parametrize("mistake", WITHOUT_TOKEN)
@pytest.mark.parametrize("user", ["ada", None])
async def test_a_token_that_is_not_text_is_an_invalid_command_during_a_session(
    user: str | None, mistake: str | bytes
) -> None:
    one = await rig(user)
    await one.say({"ping": 1})
    said = await one.say(mistake)
    assert [(o["kind"], o["code"]) for o in said] == [("error", "invalid_input")]
    assert one.code is None
    await one.say(*[mistake] * (POLICY.max_invalid_commands - 1))
    assert one.code == CloseCode.NOT_UNDERSTOOD


async def test_a_flood_of_pings_closes_the_session_and_is_not_buffered() -> None:
    one = await rig()
    one.reader.going.clear()
    await settle()
    for _ in range(10_000):
        await one.commands('{"ping":1}')
        if one.session.close_reason is not None:
            break
    assert one.code == CloseCode.TOO_MANY_FRAMES
    assert len(one.session._answers) <= IMPATIENT.session.max_pending_answers


async def test_pings_within_the_rate_limit_are_accepted() -> None:
    one = await rig()
    for _ in range(300):
        one.node.clock.turn(1 / POLICY.frames_per_s)
        await one.commands('{"ping":1}')
        await settle(3)
    assert one.code is None


# --- auth -----------------------------------------------------------------------------------------------------


async def test_a_fresh_token_extends_the_session() -> None:
    one = await rig()
    said = await one.say({"auth": "ada2"})
    assert said[-1] == {"kind": "auth", "expires_at": SOON + 900}
    one.node.clock.turn(500)
    await one.node.hub.sweep()
    assert one.code is None


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("bob", CloseCode.FORBIDDEN),
        ("old", CloseCode.TOKEN_EXPIRED),
        ("bad", CloseCode.TOKEN_REFUSED),
        ("", CloseCode.TOKEN_REFUSED),
    ],
)
async def test_a_refused_token_closes_the_session(token: str, code: CloseCode) -> None:
    one = await rig()
    await one.say({"auth": token})
    assert one.code == code
    assert one.session.identity.user == "ada"
    assert one.reader.objects[-1]["code"] == code


async def test_a_token_that_cannot_be_verified_now_is_an_error() -> None:
    one = await rig()
    said = await one.say({"auth": "away"})
    assert (said[-1]["kind"], said[-1]["code"]) == ("error", "unavailable")
    one.node.store.away = 1
    said = await one.say({"auth": "ada2"})
    assert (said[-1]["kind"], said[-1]["code"]) == ("error", "unavailable")
    assert one.code is None
    assert one.session.identity.expires_at == SOON


async def test_a_token_issued_before_a_sign_out_closes_the_session_even_if_unpublished() -> None:
    one = await rig()
    await one.node.record(message("bye", {"user_id": "ada"}))
    await one.say({"auth": "ada"})
    assert one.code == CloseCode.SIGNED_OUT


async def test_a_token_with_fewer_scopes_closes_feeds_that_needed_them() -> None:
    node = await Node(policy=PATIENT).start()
    identity = Identity("ada", frozenset({"secrets"}), issued_at=NOW.timestamp() - 10)
    one = await rig_of(node, node.request(identity=identity, protocol=True))
    await one.say({"auth": "ada2"})
    await node.send(node.news("secret", "secret"))
    await settle()
    assert one.reader.texts == []


async def test_auth_and_resume_may_share_one_frame() -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open("ada")).cursor
    await node.send(node.direct("ada", "a1"))
    one = await rig(node=node)
    said = await one.say({"auth": "ada2", "resume": {"cursor": cursor}})
    assert one.reader.texts == ["a1"]
    assert {o["kind"] for o in said} == {"hello", "auth", "notification"}


# --- authentication of an anonymous session ---------------------------------------------------------------------


async def replacement_of(one: Rig, shown: str | None = None) -> Rig:
    """Replace the session as the socket gate does. `shown` is the cursor of the handshake."""
    replacement = one.session.replacement
    assert replacement is not None
    await asyncio.wait_for(one.reader.task, 1)
    reached = one.session.cursor_for(replacement.identity.user) if one.session.hello_sent else shown
    request = one.node.request(
        protocol=True, identity=replacement.identity, cursor=replacement.cursor or reached, first_frame_read=True
    )
    return await rig_of(one.node, request)


async def test_an_anonymous_session_is_replaced_without_loss_or_duplicates() -> None:
    one = await rig(None)
    node = one.node
    await one.say({"ping": 1})
    await node.send(node.news("n1"))
    await settle()
    await node.send(node.news("n2"))
    await one.commands('{"auth":"ada"}')
    await node.send(node.news("n3"), node.direct("ada", "before"))
    two = await replacement_of(one)
    await node.send(node.news("n4"), node.direct("ada", "after"))
    await settle()
    assert one.session.user is None
    assert two.session.user == "ada"
    assert [o for o in one.reader.objects if o["kind"] == "bye"] == []
    assert [t for t in one.reader.texts + two.reader.texts if t[0] == "n"] == ["n1", "n2", "n3", "n4"]
    assert [t for t in two.reader.texts if t[0] != "n"] == ["after"]
    assert two.reader.objects[0]["kind"] == "hello"
    assert two.reader.objects[0]["gap"] == []


async def test_a_token_and_a_cursor_in_the_first_frame_resume_the_user() -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open("ada")).cursor
    await node.send(node.direct("ada", "a1"), node.news("n1"))
    one = await rig(None, node)
    await one.commands(json.dumps({"auth": "ada", "resume": {"cursor": cursor}}))
    two = await replacement_of(one)
    await settle()
    # There is one hello only: after a hello with the anonymous positions, a client would ignore what follows.
    assert one.reader.objects == []
    assert two.reader.objects[0]["resumed"] is True
    assert sorted(two.reader.texts) == ["a1", "n1"]


async def test_an_anonymous_session_with_an_invalid_token_is_closed() -> None:
    one = await rig(None)
    await one.say({"auth": "bad"})
    assert (one.session.replacement, one.code) == (None, CloseCode.TOKEN_REFUSED)


# --- first frames that must not be answered with an anonymous hello -----------------------------------------------


@pytest.mark.parametrize(
    ("token", "code"),
    [("bad", CloseCode.TOKEN_REFUSED), ("old", CloseCode.TOKEN_EXPIRED), ("away", CloseCode.TRY_LATER)],
)
@pytest.mark.parametrize("by", ["frame", "handshake"])
async def test_an_anonymous_first_frame_with_a_refused_token_gets_bye_without_hello(
    token: str, code: CloseCode, by: str
) -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open("ada")).cursor
    await node.send(node.news("n1"))
    one = await rig(None, node, **({"cursor": cursor} if by == "handshake" else {}))
    await one.say({"auth": token, **({"resume": {"cursor": cursor}} if by == "frame" else {})})
    assert [(o["kind"], o["code"]) for o in one.reader.objects] == [("bye", code)]
    assert one.reader.ended


@pytest.mark.parametrize("user", ["ada", None])
@pytest.mark.parametrize("by", ["frame", "handshake"])
@pytest.mark.parametrize("auth", ["null", "5", '{"t":1}', "undefined"])
@pytest.mark.parametrize("binary", [False, True])
async def test_a_first_frame_with_a_non_text_token_gets_bye_without_hello(
    user: str | None, by: str, auth: str, binary: bool
) -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open("ada")).cursor
    await node.send(node.direct("ada", "a1"))
    if by == "handshake":
        one, text = await rig(None, node, cursor=cursor), f'{{"auth": {auth}}}'
    else:
        one, text = await rig(user, node), f'{{"auth": {auth}, "resume": {{"cursor": "{cursor}"}}}}'
    await one.say(text.encode() if binary else text)
    assert [(o["kind"], o["code"]) for o in one.reader.objects] == [("bye", CloseCode.TOKEN_REFUSED)]
    assert one.reader.objects[0]["reason"]
    assert one.reader.ended


async def test_hello_waits_for_the_verification_of_the_first_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = await rig(None, await Node(policy=EAGER).start())
    checked = asyncio.Event()
    verify = one.tokens.verify

    async def slowly(token: str) -> Identity:
        await checked.wait()
        return await verify(token)

    monkeypatch.setattr(one.tokens, "verify", slowly)
    said = asyncio.create_task(one.commands('{"auth": "bad"}'))
    await asyncio.sleep(EAGER.session.first_command_timeout_s * 3)
    assert one.reader.objects == []
    checked.set()
    await said
    await settle()
    assert [o["kind"] for o in one.reader.objects] == ["bye"]


async def test_a_drain_before_the_first_frame_sends_bye_only() -> None:
    one = await rig(None)
    await settle()
    one.session.close(CloseReason(CloseCode.RESTARTING, "this node restarts"))
    await settle()
    assert [o["kind"] for o in one.reader.objects] == ["bye"]


@pytest.mark.parametrize("resume", [{"resume": {}}, {}])
async def test_a_first_frame_without_a_cursor_resumes_nothing(resume: dict[str, Any]) -> None:
    one = await rig(None)
    await one.commands(json.dumps({"auth": "ada", **resume}))
    two = await replacement_of(one)
    await settle()
    assert one.reader.objects == []
    # Immediately: PATIENT waits far longer.
    assert [(o["kind"], o["resumed"], o["gap"]) for o in two.reader.objects] == [("hello", False, [])]


async def test_a_handshake_cursor_is_used_for_the_user_who_authenticates_next() -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open("ada")).cursor
    await node.send(node.direct("ada", "a1"))
    one = await rig(None, node, cursor=cursor)
    await one.commands('{"auth": "ada"}')
    two = await replacement_of(one, shown=cursor)
    await settle()
    assert one.reader.objects == []
    assert two.reader.objects[0]["resumed"] is True
    assert two.reader.texts == ["a1"]


async def test_an_anonymous_handshake_cursor_resumes_without_waiting() -> None:
    node = await Node(policy=PATIENT).start()
    cursor = (await node.open()).cursor
    one = await rig(None, node, cursor=cursor)
    await settle()
    assert [(o["kind"], o["resumed"]) for o in one.reader.objects] == [("hello", True)]
