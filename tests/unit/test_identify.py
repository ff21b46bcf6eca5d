"""Identifying a caller by its token and the user id that it claims."""

from typing import Any

import pytest

from application.access.identify import IdentifyCaller
from domain.caller_errors import NotYours, SignedOut, TokenExpired, TokenInvalid, TokenMissing, Unavailable
from domain.identity import NOBODY, Identity
from domain.planning import plan
from tests.support.core import NOW, FaultyStore, HandClock, message, table


class Tokens:
    """Implements TokenVerifier by a table: each token has an identity or an error."""

    def __init__(self, **known: Identity | Exception) -> None:
        self.known = known

    fault = None

    def start(self) -> None:
        pass

    async def verify(self, token: str) -> Identity:
        found = self.known.get(token, TokenInvalid())
        if isinstance(found, Exception):
            raise found
        return found


ADA = Identity("ada", frozenset({"x"}), issued_at=NOW.timestamp() - 60, expires_at=NOW.timestamp() + 60)
NEWER = Identity("ada", issued_at=NOW.timestamp() + 1)
SAME_SECOND = Identity("ada", issued_at=NOW.timestamp())
TOKENS = Tokens(ada=ADA, newer=NEWER, same=SAME_SECOND, old=TokenExpired(), away=Unavailable())


def caller(verifier: Any = TOKENS, store: FaultyStore | None = None) -> IdentifyCaller:
    return IdentifyCaller(verifier, store or FaultyStore(), HandClock())


@pytest.mark.parametrize("claimed", [None, "ada"])
async def test_a_valid_token_identifies_its_user(claimed: str | None) -> None:
    assert await caller()("ada", claimed) == ADA


@pytest.mark.parametrize(
    ("token", "claimed", "refusal"),
    [
        (None, "ada", TokenMissing),
        ("ada", "bob", NotYours),
        ("ada", "Ada", NotYours),
        ("rubbish", None, TokenInvalid),
        ("rubbish", "ada", TokenInvalid),
        ("", None, TokenInvalid),
        ("old", None, TokenExpired),
        ("away", "ada", Unavailable),
        ("ada", "", NotYours),
        (None, "x" * 300, NotYours),
        (None, "a\nb", NotYours),
    ],
)
async def test_other_callers_are_refused(token: str | None, claimed: str | None, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        await caller()(token, claimed)


async def test_without_token_and_claim_the_caller_is_anonymous() -> None:
    assert await caller()(None, None) == NOBODY


@pytest.mark.parametrize("token", [None, "rubbish", "old"])
async def test_in_open_mode_claims_are_trusted_and_tokens_ignored(token: str | None) -> None:
    identify = caller(None)
    identity = await identify(token, "ada")
    assert identity.claimed
    assert (identity.user, identity.expires_at) == ("ada", None)
    assert identity.may("anything")
    assert (await identify(token, None)).user is None
    with pytest.raises(NotYours):
        await identify(token, "a\0b")


async def test_a_single_request_is_checked_against_the_latest_sign_out() -> None:
    store = FaultyStore()
    await store.record([plan(message("bye", {"user_id": "ada"}), table())], NOW)
    identify = caller(store=store)
    with pytest.raises(SignedOut):
        await identify.current("ada")
    with pytest.raises(TokenExpired):
        await identify.current("same")
    assert await identify.current("newer") == NEWER
    assert await identify.current(None) == NOBODY
    assert (await caller(None, store).current(None)).may("admin")
