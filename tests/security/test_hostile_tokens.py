"""Hostile tokens against each kind of verifier: always a refusal; never an identity, another error, or a request to an
address named in the token."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import MAX_TOKEN_LENGTH, JwtVerifier
from domain.caller_errors import TokenExpired, TokenInvalid
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.tokens import (
    CLAIMS_OF_ADA,
    HS256,
    OTHER_RSA_KEY,
    RSA_KEY,
    SECRET,
    b64,
    hmac_signed,
    pem,
    short,
    signed_by,
    token,
)

NOW = int(time.time())


@pytest.fixture
def keys() -> Iterator[JwksServer]:
    server = JwksServer()
    server.body = key_set(jwk(RSA_KEY, kid="one"))
    server.start()
    yield server
    server.stop()


async def refused(keys: JwksServer, forged: str, *wanted: type[Exception]) -> None:
    """Assert refusal by a verifier with a secret, by one with a public key, and by one with a key server."""
    for settings in ({"secret": SECRET}, {"public_key": pem(RSA_KEY)}, {"jwks_url": keys.url}):
        verifier = JwtVerifier(JwtSettings(**settings))
        with pytest.raises(wanted or (TokenInvalid,)):
            await verifier.verify(forged)
        await verifier.close()


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "", None, "HS256 ", "hs256", ["HS256"], {"a": 1}, 5])
async def test_the_algorithm_none_is_refused(keys: JwksServer, algorithm: Any) -> None:
    header = json.dumps({"alg": algorithm, "kid": "one"}).encode()
    for signature in ("", b64(b"x")):
        await refused(keys, f"{b64(header)}.{b64(CLAIMS_OF_ADA)}.{signature}")
    await refused(keys, hmac_signed(header, CLAIMS_OF_ADA))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_published_key_is_not_accepted_as_a_secret(keys: JwksServer, algorithm: str) -> None:
    header = json.dumps({"alg": algorithm, "kid": "one"}).encode()
    for secret in (pem(RSA_KEY), pem(RSA_KEY).strip(), json.dumps(jwk(RSA_KEY)), jwk(RSA_KEY)["n"], ""):
        await refused(keys, hmac_signed(header, CLAIMS_OF_ADA, secret.encode()))


@pytest.mark.parametrize(
    "oversized",
    [
        "x" * 1_000_000,
        "." * 1_000_000,
        hmac_signed(HS256, b'{"sub":"ada","x":"%s"}' % (b"x" * MAX_TOKEN_LENGTH)),
        hmac_signed(b'{"alg":"HS256","x":"%s"}' % (b"x" * MAX_TOKEN_LENGTH), CLAIMS_OF_ADA),
        hmac_signed(b'{"alg":"HS256","x":%s}' % (b"[" * 6_000 + b"]" * 6_000), CLAIMS_OF_ADA),
        hmac_signed(HS256, b'{"sub":"ada","x":%s}' % (b'{"a":' * 1_900 + b"1" + b"}" * 1_900)),
        hmac_signed(b"[" * 12_000, CLAIMS_OF_ADA),
        hmac_signed(HS256, b'{"sub":"ada","exp":%s}' % (b"9" * 11_000)),
    ],
    ids=short,
)
async def test_long_and_deeply_nested_tokens_are_cheap_to_refuse(keys: JwksServer, oversized: str) -> None:
    await refused(keys, oversized)


@pytest.mark.parametrize("kid", ["../../etc/passwd", "one\0", "' OR 1=1", "k" * 9_000, "", 1, ["one"], {"kid": "one"}])
async def test_hostile_kid_values_are_refused(keys: JwksServer, kid: Any) -> None:
    for algorithm in ("HS256", "RS256"):
        header = json.dumps({"alg": algorithm, "kid": kid}).encode()
        await refused(keys, hmac_signed(header, CLAIMS_OF_ADA, b"x" * 32))
    # One fetch for each verifier without keys, and no request to another address.
    assert keys.requests <= 2


@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"]}, {"crit": []}, {"crit": "exp"}, {"crit": ["b64"], "b64": False}, {"crit": ["x"], "x": 1}],
)
async def test_unknown_critical_headers_are_refused(keys: JwksServer, header: dict[str, Any]) -> None:
    await refused(keys, hmac_signed(json.dumps({"alg": "HS256", **header}).encode(), CLAIMS_OF_ADA))
    await refused(keys, hmac_signed(json.dumps({"alg": "RS256", "kid": "one", **header}).encode(), CLAIMS_OF_ADA))


async def test_keys_embedded_in_or_referenced_by_a_token_are_ignored(keys: JwksServer) -> None:
    elsewhere = JwksServer()
    elsewhere.body = key_set(jwk(OTHER_RSA_KEY, kid="one"))
    elsewhere.start()
    try:
        own = {"jwk": jwk(OTHER_RSA_KEY), "jku": elsewhere.url, "x5u": elsewhere.url, "x5c": ["x"], "kid": "one"}
        await refused(keys, token(OTHER_RSA_KEY, "RS256", headers=own))
        await refused(keys, token(OTHER_RSA_KEY, "RS256", headers={**own, "kid": elsewhere.url}))
        assert elsewhere.requests == 0
    finally:
        elsewhere.stop()


@pytest.mark.parametrize(
    "claims",
    [
        b'{"sub":null}', b'{"sub":true}', b'{"sub":["ada"]}', b'{"sub":{"id":"ada"}}', b'{"sub":1.5}', b'{"sub":NaN}',
        b'{"sub":"a\\u0000b"}', b'{"sub":"\\ud800"}', b'{"sub":""}', b"[]", b"null", b"\xff", b"",
        b'{"sub":"ada","exp":NaN}', b'{"sub":"ada","exp":1e400}', b'{"sub":"ada","exp":-Infinity}',
        b'{"sub":"ada","exp":1e300}', b'{"sub":"ada","exp":253402300800}', b'{"sub":"ada","exp":"soon"}',
        b'{"sub":"ada","exp":null}', b'{"sub":"ada","exp":true}', b'{"sub":"ada","exp":[]}', b'{"sub":"ada","iat":NaN}',
        b'{"sub":"ada","iat":99999999999}', b'{"sub":"ada","nbf":1e400}', b'{"sub":"ada","nbf":{}}',
        b'{"sub":"ada","scope":7}', b'{"sub":"ada","scope":["admin",null]}', b'{"sub":"ada","scope":{"admin":true}}',
    ],
    ids=short,
)  # fmt: skip
async def test_claims_of_wrong_types_are_refused(claims: bytes) -> None:
    verifier = JwtVerifier(JwtSettings(secret=SECRET))
    with pytest.raises(TokenInvalid):
        await verifier.verify(hmac_signed(HS256, claims))


async def test_invalid_scopes_grant_nothing() -> None:
    verifier = JwtVerifier(JwtSettings(secret=SECRET))
    for odd in ({"admin": True}, ["admin", 1], 7, [["admin"]]):
        claims = {"sub": "ada", "scp": odd, "permissions": odd}
        assert (await verifier.verify(hmac_signed(HS256, json.dumps(claims).encode()))).scopes == frozenset()


async def test_expiry_is_reported_only_for_genuine_tokens(keys: JwksServer) -> None:
    good = JwtVerifier(JwtSettings(jwks_url=keys.url))
    expired = signed_by(iat=NOW - 7200, exp=NOW - 3600)
    with pytest.raises(TokenExpired):
        await good.verify(expired)
    with pytest.raises(TokenInvalid) as caught:
        await good.verify(expired[:-8] + "AAAAAAAA")
    assert type(caught.value) is TokenInvalid
    await good.close()
