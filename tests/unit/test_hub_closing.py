"""Why sessions are closed: expired tokens, sign-outs, refusals."""

from datetime import timedelta
from typing import Any

import pytest

from adapters.memory.backplane import Bus
from application.hub.session_request import ReplacementSession
from domain.caller_errors import SignedOut, TokenExpired
from domain.identity import Identity
from domain.positions import Head
from domain.protocol.herald_v1 import CloseCode, CloseReason
from tests.support.backplanes import MutedBackplane
from tests.support.core import (
    IMPATIENT,
    NOW,
    FaultyStore,
    Node,
    Reader,
    message,
    settle,
    sign_out,
)


@pytest.fixture
async def node() -> Node:
    return await Node().start()


async def test_a_session_ends_when_its_token_expires(node: Node) -> None:
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
async def test_a_sign_out_closes_all_sessions_of_that_user_and_no_others(missed: bool) -> None:
    node = await Node(backplane=MutedBackplane(Bus())).start()
    own = [Reader(node, await node.open("ada", protocol=True)) for _ in range(3)]
    fresh = Reader(node, await node.open(identity=node.me("ada", age=-5)))
    other = Reader(node, await node.open("bob"))
    await settle()
    node.backplane.muted = missed
    await node.send(message("bye", {"user_id": "ada"}, "s"))
    if missed:
        await node.sweep(IMPATIENT.comparison_sweeps)
    await settle()
    assert all(reader.objects[-1] | {"reason": ""} == {"kind": "bye", "code": 4502, "reason": ""} for reader in own)
    assert fresh.session.close_reason is None
    assert other.session.close_reason is None


@pytest.mark.parametrize("published", [False, True])
async def test_a_sign_out_while_a_session_opens_closes_it(published: bool) -> None:
    class Between(FaultyStore):
        """A sign-out is stored while the heads are read, after they were determined."""

        late = False

        async def heads(self, streams: Any) -> dict[str, Head]:
            if self.late:
                heads = await super().heads(streams)
                self.late = False
                send = node.send if published else node.record  # type: ignore[attr-defined]  # the local below
                await send(message("bye", {"user_id": "ada"}, "s"))
                return heads
            return await super().heads(streams)

    node = await Node(Between()).start()
    node.store.late = True
    session = await node.open("ada")
    if not published:
        await node.sweep(IMPATIENT.comparison_sweeps)
    assert session.close_reason is not None
    assert session.close_reason.code == CloseCode.SIGNED_OUT
    for age, refusal in ((10, SignedOut), (0, TokenExpired)):
        with pytest.raises(refusal):
            await node.open(identity=Identity("ada", issued_at=NOW.timestamp() - age))
    with pytest.raises(SignedOut):
        await node.open(identity=Identity("ada"))
    await node.open(identity=Identity("ada", issued_at=NOW.timestamp() + 1))
    assert len(node.hub._users.sessions("ada")) == 2


async def test_an_old_sign_out_closes_no_session_that_opens_in_open_mode() -> None:
    """A comparison with the store finds the sign-out before the session has read it."""

    class Between(FaultyStore):
        async def heads(self, streams: Any) -> dict[str, Head]:
            node.hub.signed_out([sign_out("ada", NOW - timedelta(hours=1))])  # type: ignore[attr-defined]  # as above
            return await super().heads(streams)

    node = await Node(Between()).start()
    session = await node.open(identity=Identity("ada", claimed=True))
    assert session.close_reason is None


async def test_a_refused_session_leaves_no_state_behind(node: Node) -> None:
    await node.record(message("bye", {"user_id": "ada"}, "s"))
    for _ in range(3):
        with pytest.raises(SignedOut):
            await node.open("ada")
    assert not node.hub.sessions
    assert list(node.hub._users) == []
    assert not any(buffer.followers for buffer in node.hub.streams._buffers.values())


async def test_the_first_close_reason_applies(node: Node) -> None:
    session = await node.open("ada")
    session.close(CloseReason(CloseCode.SIGNED_OUT, "a"))
    session.close(CloseReason(CloseCode.TOO_SLOW, "b"))
    assert session.close_reason is not None
    assert session.close_reason.code == CloseCode.SIGNED_OUT
    # A session that is closing is not replaced.
    session.replace(ReplacementSession(Identity("ada")))
    assert session.replacement is None
