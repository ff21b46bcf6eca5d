"""The reasons that the verifier gives for refused tokens: all of them to operators, few of them to callers."""

import json
import traceback
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.jwt.refusal import REASONS, Refusal
from adapters.jwt.verifier import Accepted, JwtVerifier
from domain.caller_errors import HeraldError, TokenExpired
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.tokens import (
    CLAIMS_OF_ADA,
    EC_KEYS,
    HS256,
    NOW,
    OTHER_RSA_KEY,
    RSA_KEY,
    SECRET,
    Rig,
    b64,
    hmac_signed,
    pem,
    short,
    signed_by,
    token,
    with_key,
    with_secret,
)


async def reason(verifier: JwtVerifier, shown: str) -> Refusal:
    examined = await verifier.examine(shown)
    assert isinstance(examined, Refusal)
    return examined


@pytest.fixture
def server() -> Iterator[JwksServer]:
    made = JwksServer()
    made.body = key_set(jwk(RSA_KEY, kid="one"), jwk(EC_KEYS["ES256"], kid="two"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def rig(server: JwksServer) -> AsyncIterator[Rig]:
    made = Rig(server)
    yield made
    await made.close()


NONE = f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(CLAIMS_OF_ADA)}."

REFUSED = {
    "too_long": "x" * 20_000,
    "not_a_jwt": "opaque",
    "algorithm_refused": token(RSA_KEY, "RS256"),
    "wrong_signature": token("another secret of more than thirty-two bytes"),
    "missing_claim": token(sub=None),
    "wrong_audience": token(aud="them"),
    "wrong_issuer": token(aud="herald", iss="https://evil.example"),
    "invalid_user": token(aud="herald", iss="me", sub="a\nb"),
    "invalid_scopes": token(aud="herald", iss="me", scope=7),
    "invalid_time": token(aud="herald", iss="me", nbf="soon"),
    "not_valid_yet": token(aud="herald", iss="me", nbf=NOW + 60),
    "expired": token(aud="herald", iss="me", exp=NOW - 60),
}


@pytest.mark.parametrize(("code", "forged"), REFUSED.items(), ids=REFUSED)
async def test_each_reason(code: str, forged: str) -> None:
    verifier = with_secret(audience="herald", issuer="me")
    refusal = await reason(verifier, forged)
    assert refusal.code == code
    with capture_logs() as logs, pytest.raises(HeraldError) as caught:
        await verifier.verify(forged)
    assert [(line["event"], line["error"]) for line in logs] == [("jwt_refused", code)]
    assert (type(caught.value) is TokenExpired) == (code == "expired")
    # Callers learn nothing about the settings, and logs contain nothing of the token.
    told = "".join(traceback.format_exception(caught.value)) + repr(logs)
    assert "herald" not in caught.value.detail
    assert forged not in told
    assert SECRET not in told


def test_every_reason_is_tried() -> None:
    assert {*REFUSED, "unknown_key"} == REASONS.keys()


async def test_an_unknown_key_is_named_beside_those_of_the_issuer(rig: Rig) -> None:
    refusal = await reason(rig.verifier(), signed_by(OTHER_RSA_KEY, "three\n"))
    assert refusal.code == "unknown_key"
    assert refusal.explanation == (
        'The token names the key "three\\u000a" (`kid`) and the algorithm "RS256"; the issuer\'s keys are'
        ' "one" for RS256/RS384/RS512/PS256/PS384/PS512, "two" for ES256.'
    )
    assert (await reason(rig.verifier(), signed_by(OTHER_RSA_KEY, "one"))).code == "wrong_signature"
    assert (await reason(rig.verifier(), signed_by(EC_KEYS["ES256"], "one", "ES256"))).code == "unknown_key"


async def test_a_key_server_accepts_no_secrets_and_no_unsigned_tokens(rig: Rig) -> None:
    refusal = await reason(rig.verifier(algorithms=("RS256", "ES256")), token())
    assert refusal.explanation == 'The token is signed by the algorithm "HS256"; accepted are RS256, ES256.'
    assert (await reason(rig.verifier(), NONE)).code == "algorithm_refused"
    assert rig.server.requests == 0


@pytest.mark.parametrize("verifier", [with_secret(), with_key()], ids=["secret", "public key"])
async def test_unsigned_tokens(verifier: JwtVerifier) -> None:
    assert (await reason(verifier, NONE)).explanation.startswith('The token is signed by the algorithm "none"')


@pytest.mark.parametrize(
    ("garbage", "says"),
    [
        ("", "the number of its parts, separated by dots, is 1 instead of 3"),
        ("a.b", "is 2 instead of 3"),
        ("e30.e30.x.y.z", "it is encrypted (JWE)"),
        ("e30.e30.e30", "its first part is not a header with an algorithm"),
        (f"{token()}?", "its second or third part is not base64url"),
        (token()[:20] + "\n" + token()[20:], "it contains spaces or line breaks"),
        (f"Bearer {token()}", "it contains spaces or line breaks"),
        (hmac_signed(HS256, b"[1]"), "it can't be decoded (DecodeError)"),
        (hmac_signed(HS256, b"[" * 5000), "it can't be decoded (DecodeError)"),
        ("\ud800.\ud800.\ud800", "its first part is not a header with an algorithm"),
    ],
    ids=short,
)
async def test_text_that_is_no_jwt_is_described(garbage: str, says: str) -> None:
    refusal = await reason(with_secret(), garbage)
    assert refusal.code == "not_a_jwt"
    assert says in refusal.explanation


async def test_an_accepted_token_has_its_identity_and_claims() -> None:
    examined = await with_secret(user_claim="oid").examine(token(oid="7", scp="a b"))
    assert isinstance(examined, Accepted)
    assert (examined.identity.user, examined.identity.scopes) == ("7", {"a", "b"})
    assert examined.claims.keys() == {"sub", "oid", "scp", "iat", "exp"}


@given(st.text() | st.binary().map(lambda data: f"{b64(HS256)}.{b64(data)}.{b64(data)}"))
@settings(deadline=None)
async def test_the_explanation_of_any_text_is_one_short_line(text: str) -> None:
    refusal = await reason(with_key(), text)
    assert refusal.explanation.isprintable()
    assert len(refusal.explanation) < 500


async def test_the_public_key_in_a_refusal_is_never_shown() -> None:
    assert pem(RSA_KEY).splitlines()[1] not in (await reason(with_key(), token())).explanation
