"""Forged and malformed tokens are refused, whatever they contain."""

import asyncio
import hashlib
import json
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import MAX_TOKEN_LENGTH, JwtVerifier
from domain.caller_errors import TokenExpired, TokenInvalid
from tests.support.key_server import jwk
from tests.support.tokens import (
    CLAIMS_OF_ADA,
    EC_KEYS,
    ED_KEY,
    HS256,
    NOW,
    OTHER_RSA_KEY,
    RSA_KEY,
    FakeTime,
    b64,
    hmac_signed,
    pem,
    refused,
    short,
    token,
    with_key,
    with_secret,
)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "them"}, {"aud": ["them", "others"]}, {"aud": None}, {"aud": []}, {"aud": [5]},
        {"iss": "https://evil.example"}, {"iss": None}, {"sub": None}, {"nbf": NOW + 60}, {"iat": NOW + 60},
    ],
)  # fmt: skip
async def test_unacceptable_claims_are_refused(claims: dict[str, Any]) -> None:
    verifier = with_secret(audience="herald", issuer="https://id.example")
    good: dict[str, Any] = {"aud": "herald", "iss": "https://id.example"}
    await verifier.verify(token(**good))
    await refused(verifier, token(**{**good, **claims}))
    assert type(await refused(verifier, token(**{**good, **claims, "exp": NOW - 60}))) is TokenInvalid


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub":""}', b'{"sub":null}', b'{"sub":true}', b'{"sub":1.5}', b'{"sub":["ada"]}', b'{"sub":{}}', b"{}",
        b'{"sub":"a\\u0000"}', b'{"sub":"\\ud800"}', b'{"sub":NaN}', b'{"sub":1e400}', b'{"sub":"%s"}' % (b"u" * 256),
        b'{"sub":%s}' % (b"1" * 256), b'{"sub":%s}' % (b"1" * 5000),
        b'{"sub":"a","exp":1e400}', b'{"sub":"a","exp":-1e400}', b'{"sub":"a","exp":NaN}', b'{"sub":"a","exp":-1}',
        b'{"sub":"a","exp":"9999999999"}', b'{"sub":"a","exp":true}', b'{"sub":"a","exp":null}',
        b'{"sub":"a","exp":[]}',
        b'{"sub":"a","exp":1e300}', b'{"sub":"a","exp":%s}' % (b"9" * 4000), b'{"sub":"a","iat":NaN}',
        b'{"sub":"a","iat":-5}', b'{"sub":"a","iat":"now"}', b'{"sub":"a","nbf":Infinity}', b'{"sub":"a","nbf":{}}',
        b'{"sub":"a","scope":5}', b'{"sub":"a","scope":{"admin":1}}', b'{"sub":"a","scope":["admin",1]}',
        b"", b"null", b"5", b'"text"', b"[]", b"[" * 10_000, b"{", b"\xff\xfe", b'{"sub":"\xff"}', b"\0" * 5000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
    ids=short,
)  # fmt: skip
async def test_a_correctly_signed_invalid_payload_is_refused(payload: bytes) -> None:
    await refused(with_secret(), hmac_signed(HS256, payload))


@pytest.mark.parametrize(
    "header",
    [
        b"", b"null", b"[]", b'"HS256"', b"{}", b"{", b"[" * 10_000, b"\xff", b'{"alg":["HS256"]}', b'{"alg":{}}',
        b'{"alg":"HS256","crit":["exp"],"exp":1}', b'{"alg":"HS256","crit":[]}', b'{"alg":"HS256","kid":5}',
        b'{"alg":"HS256","b64":false,"crit":["b64"]}', b'{"alg":"hs256"}', b'{"alg":"HS256 "}', b'{"alg":"RS256"}',
    ],
    ids=short,
)  # fmt: skip
async def test_invalid_headers_are_refused(header: bytes) -> None:
    for verifier in (with_secret(), with_key(), with_secret(algorithms=("HS256",))):
        await refused(verifier, hmac_signed(header, CLAIMS_OF_ADA))


@pytest.mark.parametrize(
    "rubbish",
    [
        "", ".", "..", "...", "....", "a.b.c", "Bearer x", "null", "é.é.é", "\ud800", "\0\0\0", "x" * 100_000,
        "." * 16_000, "=.=.=", token() + ".", "." + token(), token() + "==", token() + "\n", token().replace(".", " "),
        token().encode(), None, 5, ["x"],
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aXZpdml2aXZpdg.Y2lwaGVydGV4dA.dGFndGFndGFn",
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a2V5.aXY.Y2lwaGVydGV4dA.dGFn",
    ],
    ids=short,
)  # fmt: skip
async def test_text_that_is_no_token_is_refused(rubbish: Any) -> None:
    for verifier in (with_secret(), with_key()):
        await refused(verifier, rubbish)


async def test_overlong_tokens_are_refused() -> None:
    signed = token(padding="x" * MAX_TOKEN_LENGTH)
    with capture_logs() as logs:
        await refused(with_secret(), signed)
    assert [line["error"] for line in logs] == ["too_long"]
    assert (await with_secret().verify(token(padding="x" * 11_000))).user == "ada"


NONE_SPELLINGS = ["none", "None", "NONE", "nOnE", "none ", "", "null"]


@pytest.mark.parametrize("algorithm", NONE_SPELLINGS)
async def test_the_algorithm_none_is_refused(algorithm: str) -> None:
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    claims = CLAIMS_OF_ADA
    server = JwtVerifier(JwtSettings(jwks_url="http://127.0.0.1:9/"), FakeTime())
    for verifier in (with_secret(), with_key(), with_key(EC_KEYS["ES256"]), server):
        await refused(verifier, f"{b64(header)}.{b64(claims)}.")
        await refused(verifier, f"{b64(header)}.{b64(claims)}")
        await refused(verifier, f"{b64(header)}.{b64(claims)}.{b64(b'signature')}")
        await refused(verifier, hmac_signed(header, claims))
        await refused(verifier, hmac_signed(header, claims, b""))
    await server.close()


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEYS["ES256"], ED_KEY], ids=["rsa", "ec", "ed"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_never_used_as_a_secret(key: Any, alg: str) -> None:
    public = key.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = pem(key)
    header = json.dumps({"alg": alg}).encode()
    for guess in (text, text.strip(), text + "\n", text.replace("\n", "\\n"), text.replace("\n", "")):
        digest = getattr(hashlib, f"sha{alg[2:]}")
        await refused(with_key(key), hmac_signed(header, CLAIMS_OF_ADA, guess.encode(), digest))
        await refused(with_key(key), hmac_signed(header, CLAIMS_OF_ADA, der, digest))


async def test_tokens_of_other_keys_and_altered_tokens_are_refused() -> None:
    await refused(with_secret(), token("another secret, long enough to be one!"))
    await refused(with_key(), token(OTHER_RSA_KEY, "RS256"))
    await refused(with_key(), token(EC_KEYS["ES256"], "ES256"))
    await refused(with_secret(algorithms=("HS384", "HS512")), token())
    await refused(with_key(algorithms=("PS256",)), token(RSA_KEY, "RS256"))
    for verifier, signed in ((with_secret(), token()), (with_key(), token(RSA_KEY, "RS256"))):
        header, payload, signature = signed.split(".")
        forged = b64(json.dumps({"sub": "eve"}).encode())
        await refused(verifier, f"{header}.{forged}.{signature}")
        await refused(verifier, f"{header}.{payload}.")
        await refused(verifier, f"{header}.{payload}")
        await refused(verifier, f"{header}.{payload}.{signature[:-4]}")
        await refused(verifier, f"{header}.{payload}.{signature}AAAA")


async def test_keys_embedded_in_a_token_are_not_used() -> None:
    brought = {"jwk": jwk(OTHER_RSA_KEY), "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/", "x5c": ["x"]}
    await refused(with_key(), token(OTHER_RSA_KEY, "RS256", headers=brought))


async def test_expiry_is_reported_only_for_genuine_tokens() -> None:
    expired = token(exp=NOW - 60)
    with pytest.raises(TokenExpired):
        await with_secret().verify(expired)
    assert type(await refused(with_secret(), expired[:-4] + "AAAA")) is TokenInvalid


async def test_errors_and_logs_contain_no_part_of_a_token() -> None:
    for signed in (token(secretly="hidden"), token(exp=NOW - 60), "not.a.token", hmac_signed(b"{hidden", b"{hidden")):
        with capture_logs() as logs, pytest.raises((TokenInvalid, TokenExpired)) as caught:
            await with_secret(issuer="someone").verify(signed)
        assert caught.value.__context__ is None
        shown = "".join(traceback.format_exception(caught.value)) + repr(logs)
        assert "hidden" not in shown
        assert not any(part in shown for part in signed.split(".") if len(part) > 8)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "scope", "jti"]) | st.text(max_size=5), JSON_VALUES
)
HEADERS = st.fixed_dictionaries(
    {"alg": st.just("HS256") | JSON_VALUES}, optional={"kid": JSON_VALUES, "crit": JSON_VALUES, "b64": JSON_VALUES}
)
AS_JSON = CLAIMS.map(lambda claims: json.dumps(claims).encode())
TOKENS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    st.lists(st.binary(max_size=60).map(b64), max_size=6).map(".".join),
    st.builds(hmac_signed, st.just(HS256), AS_JSON | st.binary(max_size=100)),
    st.builds(hmac_signed, HEADERS.map(lambda header: json.dumps(header).encode()), AS_JSON),
    st.tuples(st.integers(0, len(token()) - 1), st.characters()).map(
        lambda change: token()[: change[0]] + change[1] + token()[change[0] + 1 :]
    ),
)


@settings(max_examples=400, deadline=None)
@given(TOKENS, st.sampled_from([with_secret(), with_secret(audience="a", issuer="b"), with_key()]))
def test_random_input_is_an_identity_or_refused(anything: Any, verifier: JwtVerifier) -> None:
    try:
        identity = asyncio.run(verifier.verify(anything))
    except (TokenInvalid, TokenExpired):
        return
    assert identity.user
    assert len(identity.user) <= 255
    assert identity.expires_at is None or identity.expires_at > NOW - 10
    assert identity.issued_at is None or 0 <= identity.issued_at <= NOW + 10
