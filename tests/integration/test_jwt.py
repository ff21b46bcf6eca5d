"""Tokens, good and forged, against the verifier; and the verifier against a JWKS server that misbehaves."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.jwt.key_server import MAX_CANDIDATES, Pace
from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import LONGEST_TOKEN, JwtVerifier
from domain.errors import TokenExpired, TokenInvalid, Unavailable
from domain.identity import Identity
from tests.support.key_server import JwksServer, jwk, key_set

NOW = 1_800_000_000
SECRET = "a secret of at least thirty-two bytes, for tests"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED_KEY = ed25519.Ed25519PrivateKey.generate()
ED448_KEY = ed448.Ed448PrivateKey.generate()
RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
SIGNERS: dict[str, Any] = {
    **dict.fromkeys(RSA_ALGORITHMS, RSA_KEY),
    **EC_KEYS,
    "EdDSA": ED_KEY,
    "Ed25519": ED_KEY,
    "Ed448": ED448_KEY,
}


def short(value: Any) -> str:
    """The name of a test for a value that may be long."""
    return repr(value)[:40]


class FakeTime:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def pem(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def private_pem(key: Any) -> str:
    private: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode()


def token(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {"sub": "ada", "iat": NOW - 60, "exp": NOW + 600, **claims}
    return jwt.encode({k: v for k, v in said.items() if v is not None}, key, algorithm=algorithm, headers=headers)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_signed(header: bytes, payload: bytes, secret: bytes = SECRET.encode(), digest: Any = hashlib.sha256) -> str:
    """A token with a right HMAC over anything whatever, so that what is wrong with it is found behind the signature."""
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


HS256 = b'{"alg":"HS256","typ":"JWT"}'
CLAIMS_OF_ADA = b'{"sub":"ada"}'


def with_secret(**more: Any) -> JwtVerifier:
    return JwtVerifier(JwtSettings(secret=SECRET, **more), FakeTime())


def with_key(key: Any = RSA_KEY, **more: Any) -> JwtVerifier:
    return JwtVerifier(JwtSettings(public_key=pem(key), **more), FakeTime())


async def refused(verifier: JwtVerifier, forged: Any) -> TokenInvalid:
    with pytest.raises(TokenInvalid) as caught:
        await verifier.verify(forged)
    return caught.value


# --- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_settings", "says"),
    [
        ({}, "exactly one of HERALD_JWT_SECRET, HERALD_JWT_PUBLIC_KEY and HERALD_JWT_JWKS_URL"),
        ({"secret": "", "public_key": "", "jwks_url": ""}, "exactly one of"),
        ({"secret": SECRET, "public_key": pem(RSA_KEY)}, "exactly one of"),
        ({"secret": "x" * 31}, r"HERALD_JWT_SECRET has 31 bytes.*32.*RFC 7518"),
        ({"secret": pem(RSA_KEY)}, "HERALD_JWT_SECRET .*holds a key.*HERALD_JWT_PUBLIC_KEY"),
        ({"secret": json.dumps(jwk(RSA_KEY))}, "HERALD_JWT_SECRET .*holds a key"),
        ({"secret": "\udcff" * 40}, "HERALD_JWT_SECRET is not UTF-8"),
        ({"public_key": "not a key"}, "HERALD_JWT_PUBLIC_KEY is not a public key in PEM"),
        ({"public_key": pem(RSA_KEY)[:-60]}, "HERALD_JWT_PUBLIC_KEY is not a public key in PEM"),
        ({"public_key": "\udcff"}, "HERALD_JWT_PUBLIC_KEY is not a public key in PEM"),
        ({"public_key": private_pem(RSA_KEY)}, "HERALD_JWT_PUBLIC_KEY holds a private key"),
        ({"public_key": pem(ec.generate_private_key(ec.SECP256K1()))}, "HERALD_JWT_PUBLIC_KEY is of a kind"),
        ({"public_key": pem(rsa.generate_private_key(65537, 1024))}, "at least 2048 bits"),
        ({"jwks_url": "ftp://keys.example/jwks"}, "HERALD_JWT_JWKS_URL is not a URL"),
        ({"jwks_url": "https://"}, "HERALD_JWT_JWKS_URL is not a URL"),
        ({"jwks_url": "http://[::1"}, "HERALD_JWT_JWKS_URL is not a URL"),
        ({"secret": SECRET, "algorithms": ("RS256",)}, "HERALD_JWT_ALGORITHMS names 'RS256'.*HERALD_JWT_SECRET"),
        ({"public_key": pem(RSA_KEY), "algorithms": ("RS256", "HS256")}, "HERALD_JWT_ALGORITHMS names 'HS256'"),
        ({"public_key": pem(EC_KEYS["ES256"]), "algorithms": ("ES384",)}, "names 'ES384'.*ES256 can"),
        ({"public_key": pem(RSA_KEY), "algorithms": ("EdDSA",)}, "HERALD_JWT_ALGORITHMS names 'EdDSA'"),
        ({"public_key": pem(ED_KEY), "algorithms": ("Ed448",)}, "names 'Ed448'.*EdDSA, Ed25519 can"),
        ({"jwks_url": "https://keys.example", "algorithms": ("HS256",)}, "HERALD_JWT_ALGORITHMS names 'HS256'"),
        ({"secret": SECRET, "algorithms": ("none",)}, "HERALD_JWT_ALGORITHMS names 'none'"),
        ({"secret": SECRET, "algorithms": ("hs256",)}, "HERALD_JWT_ALGORITHMS names 'hs256'"),
        ({"jwks_url": "https://keys.example", "algorithms": ("RS257",)}, "HERALD_JWT_ALGORITHMS names 'RS257'"),
    ],
)
def test_refuses_settings_that_cannot_be_right(given_settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        JwtVerifier(JwtSettings(**given_settings))
    for value in (given_settings.get("secret"), given_settings.get("public_key")):
        assert not value or value not in str(caught.value)


def test_settings_never_show_the_secret() -> None:
    assert SECRET not in repr(JwtSettings(secret=SECRET)) + str(JwtSettings(secret=SECRET))


# --- good tokens ----------------------------------------------------------------------------------------------


async def test_a_token_says_who_and_what_and_how_long() -> None:
    identity = await with_secret().verify(token(scope="events:publish  admin", jti="t-1"))
    assert identity == Identity("ada", frozenset({"events:publish", "admin"}), NOW - 60, NOW + 600, token_id="t-1")


async def test_only_the_subject_is_required() -> None:
    identity = await with_secret().verify(token(iat=None, exp=None))
    assert identity == Identity("ada", token_id=identity.token_id)


@pytest.mark.parametrize("jti", [None, "", 7, "x" * 129, "\0", "\ud800"])
async def test_a_token_without_a_usable_id_is_known_by_a_hash(jti: Any) -> None:
    one, other = token(jti=jti), token(jti=jti, scope="more")
    first, again, second = [(await with_secret().verify(shown)).token_id for shown in (one, one, other)]
    assert first == again != second
    assert first
    assert len(first) == 32
    assert first not in one


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_hs_algorithms(algorithm: str) -> None:
    signed = token("k" * 64, algorithm)
    assert (await JwtVerifier(JwtSettings(secret="k" * 64), FakeTime()).verify(signed)).user == "ada"


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_public_key_algorithms(algorithm: str) -> None:
    key = SIGNERS[algorithm]
    assert (await with_key(key).verify(token(key, algorithm))).user == "ada"


async def test_the_two_names_of_edwards_curves() -> None:
    assert (await with_key(ED448_KEY).verify(token(ED448_KEY, "EdDSA"))).user == "ada"
    assert (await with_key(ED_KEY, algorithms=("Ed25519",)).verify(token(ED_KEY, "Ed25519"))).user == "ada"
    await refused(with_key(ED_KEY, algorithms=("Ed25519",)), token(ED_KEY, "EdDSA"))
    await refused(with_key(ED_KEY), token(ED448_KEY, "Ed448"))
    await refused(with_key(ED448_KEY), token(ED_KEY, "Ed25519"))


async def test_edwards_curves_in_a_set(rig: "Rig") -> None:
    rig.server.body = key_set(
        jwk(ED_KEY, kid="a", alg="Ed25519"), jwk(ED_KEY, kid="b", alg="EdDSA"), jwk(ED448_KEY, kid="c", use="sig")
    )
    verifier = rig.verifier()
    for kid, key, algorithm in (
        ("a", ED_KEY, "Ed25519"),
        ("b", ED_KEY, "EdDSA"),
        ("c", ED448_KEY, "Ed448"),
        ("c", ED448_KEY, "EdDSA"),
    ):
        assert (await verifier.verify(signed_by(key, kid, algorithm))).user == "ada"


async def test_pem_on_one_line_as_environment_files_write_it() -> None:
    one_line = pem(RSA_KEY).replace("\n", "\\n")
    verifier = JwtVerifier(JwtSettings(public_key=one_line), FakeTime())
    assert (await verifier.verify(token(RSA_KEY, "RS256"))).user == "ada"


@pytest.mark.parametrize(
    ("claims", "user"),
    [({"sub": "7"}, "7"), ({"sub": 7}, "7"), ({"sub": "é 😀"}, "é 😀"), ({"sub": "u" * 255}, "u" * 255)],
)
async def test_subjects(claims: dict[str, Any], user: str) -> None:
    assert (await with_secret().verify(hmac_signed(HS256, json.dumps(claims).encode()))).user == user


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [("a b", {"a", "b"}), (["a", "b"], {"a", "b"}), ("", set()), ([], set()), (None, set()), (" a ", {"a"})],
)
async def test_scopes(scope: Any, scopes: set[str]) -> None:
    claims = json.dumps({"sub": "ada", "scope": scope}).encode()
    assert (await with_secret().verify(hmac_signed(HS256, claims))).scopes == scopes


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scp": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"permissions": ["events:publish"]}, {"events:publish"}),
        ({"scope": "a", "scp": ["b"], "permissions": ["c"]}, {"a", "b", "c"}),
        # Others may use these names for something else.
        ({"scp": 7, "permissions": [{"rsid": "x"}], "scope": "a"}, {"a"}),
        ({"permissions": {"admin": True}, "scp": ["admin", 1]}, set()),
        ({"roles": ["admin"], "realm_access": {"roles": ["admin"]}}, set()),
    ],
)
async def test_scopes_by_other_names(claims: dict[str, Any], scopes: set[str]) -> None:
    assert (await with_secret().verify(token(**claims))).scopes == scopes


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"realm_access": {"roles": ["admin"]}}, {"admin"}),
        ({"https://shop.example/roles": "a b", "scope": "c"}, {"a", "b", "c"}),
        ({"realm_access.roles": ["a"], "realm_access": {"roles": ["b"]}}, {"a"}),
        ({}, set()),
        ({"realm_access": ["roles"]}, set()),
        ({"realm_access": {"roles": None}}, set()),
    ],
)
async def test_scopes_in_configured_claims(claims: dict[str, Any], scopes: set[str]) -> None:
    verifier = with_secret(scope_claims=("realm_access.roles", "https://shop.example/roles"))
    assert (await verifier.verify(token(**claims))).scopes == scopes


@pytest.mark.parametrize("roles", [7, {"admin": True}, ["admin", 1], True])
async def test_refuses_configured_claims_without_scopes(roles: Any) -> None:
    refusal = await refused(with_secret(scope_claims=("realm_access.roles",)), token(realm_access={"roles": roles}))
    assert "realm_access.roles" in refusal.detail


@pytest.mark.parametrize("claims", [{"aud": "them"}, {"aud": ["them"]}, {"iss": "anyone"}, {"jti": 5}, {"aud": 5}])
async def test_what_is_not_configured_is_not_asked_for(claims: dict[str, Any]) -> None:
    for verifier in (with_secret(), with_secret(audience="", issuer="")):
        signed = hmac_signed(HS256, json.dumps({"sub": "ada", **claims}).encode())
        assert (await verifier.verify(signed)).user == "ada"


@pytest.mark.parametrize("audience", ["herald", ["them", "herald"]])
async def test_audience_and_issuer_that_are_ours(audience: Any) -> None:
    verifier = with_secret(audience="herald", issuer="https://id.example")
    assert (await verifier.verify(token(aud=audience, iss="https://id.example"))).user == "ada"


async def test_leeway_holds_on_both_sides() -> None:
    verifier = with_secret(leeway=5)
    await verifier.verify(token(exp=NOW - 4, iat=NOW + 5, nbf=NOW + 5))
    with pytest.raises(TokenExpired):
        await verifier.verify(token(exp=NOW - 5))
    await refused(verifier, token(nbf=NOW + 6))
    await refused(verifier, token(iat=NOW + 6))


@pytest.mark.parametrize("now", [1_000_000_000, 4_000_000_000])
async def test_the_clock_is_the_one_given(now: int) -> None:
    verifier = JwtVerifier(JwtSettings(secret=SECRET), FakeTime(now))
    assert (await verifier.verify(token(iat=now, nbf=now, exp=now + 60))).expires_at == now + 60


async def test_without_a_clock_it_is_the_machine_s() -> None:
    now = int(time.time())
    await JwtVerifier(JwtSettings(secret=SECRET)).verify(token(iat=now, exp=now + 60))
    with pytest.raises(TokenExpired):
        await JwtVerifier(JwtSettings(secret=SECRET)).verify(token(iat=now - 60, exp=now - 30))


# --- bad tokens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "them"}, {"aud": ["them", "others"]}, {"aud": None}, {"aud": []}, {"aud": [5]},
        {"iss": "https://evil.example"}, {"iss": None}, {"sub": None}, {"nbf": NOW + 60}, {"iat": NOW + 60},
    ],
)  # fmt: skip
async def test_refuses_claims_that_do_not_fit(claims: dict[str, Any]) -> None:
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
async def test_refuses_rubbish_that_is_rightly_signed(payload: bytes) -> None:
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
async def test_refuses_headers_that_are_rubbish(header: bytes) -> None:
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
async def test_refuses_what_is_no_token(rubbish: Any) -> None:
    for verifier in (with_secret(), with_key()):
        await refused(verifier, rubbish)


async def test_refuses_tokens_too_long_to_be_read() -> None:
    signed = token(padding="x" * LONGEST_TOKEN)
    with capture_logs() as logs:
        await refused(with_secret(), signed)
    assert logs == []
    assert (await with_secret().verify(token(padding="x" * 11_000))).user == "ada"


NONE_SPELLINGS = ["none", "None", "NONE", "nOnE", "none ", "", "null"]


@pytest.mark.parametrize("algorithm", NONE_SPELLINGS)
async def test_refuses_alg_none(algorithm: str) -> None:
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
async def test_a_public_key_is_never_a_secret(key: Any, alg: str) -> None:
    public = key.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = pem(key)
    header = json.dumps({"alg": alg}).encode()
    for guess in (text, text.strip(), text + "\n", text.replace("\n", "\\n"), text.replace("\n", "")):
        digest = getattr(hashlib, f"sha{alg[2:]}")
        await refused(with_key(key), hmac_signed(header, CLAIMS_OF_ADA, guess.encode(), digest))
        await refused(with_key(key), hmac_signed(header, CLAIMS_OF_ADA, der, digest))


async def test_refuses_other_keys_and_altered_tokens() -> None:
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


async def test_keys_brought_along_by_a_token_are_not_used() -> None:
    brought = {"jwk": jwk(OTHER_RSA_KEY), "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/", "x5c": ["x"]}
    await refused(with_key(), token(OTHER_RSA_KEY, "RS256", headers=brought))


async def test_expired_only_if_genuine() -> None:
    expired = token(exp=NOW - 60)
    with pytest.raises(TokenExpired):
        await with_secret().verify(expired)
    assert type(await refused(with_secret(), expired[:-4] + "AAAA")) is TokenInvalid


async def test_no_trace_of_a_token_in_errors_and_logs() -> None:
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
def test_whatever_comes_is_an_identity_or_refused(anything: Any, verifier: JwtVerifier) -> None:
    try:
        identity = asyncio.run(verifier.verify(anything))
    except (TokenInvalid, TokenExpired):
        return
    assert identity.user
    assert len(identity.user) <= 255
    assert identity.expires_at is None or identity.expires_at > NOW - 10
    assert identity.issued_at is None or 0 <= identity.issued_at <= NOW + 10


# --- JWKS -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[JwksServer]:
    made = JwksServer()
    made.body = key_set(jwk(RSA_KEY, kid="one"))
    made.start()
    yield made
    made.stop()


class Rig:
    """Verifiers on a JWKS server and a clock for their pace, closed at the end."""

    def __init__(self, server: JwksServer) -> None:
        self.server = server
        self.clock = FakeTime(1000.0)
        self._made: list[JwtVerifier] = []

    def verifier(self, pace: Pace | None = None, **more: Any) -> JwtVerifier:
        told = JwtSettings(jwks_url=self.server.url, **more)
        made = JwtVerifier(told, FakeTime(), monotonic=self.clock, pace=pace or Pace())
        self._made.append(made)
        return made

    async def close(self) -> None:
        for made in self._made:
            await made.close()


@pytest.fixture
async def rig(server: JwksServer) -> AsyncIterator[Rig]:
    made = Rig(server)
    yield made
    await made.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.01)


def signed_by(key: Any = RSA_KEY, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
    return token(key, algorithm, headers={"kid": kid} if kid is not None else None, **claims)


async def unavailable(verifier: JwtVerifier, signed: str) -> None:
    with pytest.raises(Unavailable):
        await verifier.verify(signed)


async def test_keys_are_fetched_once(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.delay = 0.1
    found = await asyncio.gather(*(verifier.verify(signed_by()) for _ in range(100)))
    assert {identity.user for identity in found} == {"ada"}
    await verifier.verify(signed_by())
    assert rig.server.requests == 1


async def test_one_who_leaves_does_not_end_the_fetch_of_others(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.delay = 0.1
    leaving = asyncio.create_task(verifier.verify(signed_by()))
    await until(lambda: rig.server.requests == 1)
    staying = asyncio.create_task(verifier.verify(signed_by()))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).user == "ada"
    assert rig.server.requests == 1


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_every_kind_of_key(rig: Rig, algorithm: str) -> None:
    rig.server.body = key_set(*map(jwk, (RSA_KEY, ED_KEY, ED448_KEY, *EC_KEYS.values())))
    identity = await rig.verifier().verify(signed_by(SIGNERS[algorithm], None, algorithm))
    assert identity.user == "ada"


async def test_rotation(rig: Rig) -> None:
    verifier = rig.verifier()
    await verifier.verify(signed_by())
    rig.server.body = key_set(jwk(OTHER_RSA_KEY, kid="two"))
    assert (await verifier.verify(signed_by(OTHER_RSA_KEY, "two"))).user == "ada"
    assert rig.server.requests == 2
    await unavailable(verifier, signed_by())
    rig.clock.now += 31
    await refused(verifier, signed_by())


async def test_a_withdrawn_key_ends_with_the_next_refresh(rig: Rig) -> None:
    verifier = rig.verifier(Pace(refresh=0.05))
    await verifier.verify(signed_by())
    rig.server.body = key_set(jwk(OTHER_RSA_KEY, kid="two"))
    seen = rig.server.requests
    await until(lambda: rig.server.requests >= seen + 2)
    await refused(verifier, signed_by())


async def test_unknown_keys_are_unavailable_while_they_may_not_be_looked_up(rig: Rig) -> None:
    verifier = rig.verifier()
    await refused(verifier, signed_by(OTHER_RSA_KEY, "invented"))
    await refused(verifier, signed_by(OTHER_RSA_KEY, "invented-too"))
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(OTHER_RSA_KEY, kid="fresh"))
    fetches = rig.server.requests
    fresh = signed_by(OTHER_RSA_KEY, "fresh")
    await unavailable(verifier, fresh)
    await unavailable(verifier, signed_by(OTHER_RSA_KEY, "invented"))
    assert (await verifier.verify(signed_by())).user == "ada"
    await refused(verifier, signed_by(OTHER_RSA_KEY, "one"))
    rig.clock.now += 29
    await unavailable(verifier, fresh)
    assert rig.server.requests == fetches
    rig.clock.now += 2
    # The next lookup, even one for an invented key, brings the fresh one.
    await refused(verifier, signed_by(OTHER_RSA_KEY, "invented"))
    assert (await verifier.verify(fresh)).user == "ada"
    assert rig.server.requests == fetches + 1


async def test_a_fetch_that_began_before_the_key_was_published_proves_nothing(rig: Rig) -> None:
    verifier = rig.verifier()
    await verifier.verify(signed_by())
    rig.server.answering.clear()
    early = asyncio.create_task(verifier.verify(signed_by(OTHER_RSA_KEY, "invented")))
    await until(lambda: rig.server.requests == 2)
    fresh = asyncio.create_task(unavailable(verifier, signed_by(OTHER_RSA_KEY, "fresh")))
    await asyncio.sleep(0)
    rig.server.answering.set()
    await fresh
    with pytest.raises(TokenInvalid):
        await early


async def test_a_flood_of_unknown_keys_is_one_fetch_in_thirty_seconds(rig: Rig) -> None:
    verifier = rig.verifier()
    flood = [signed_by(OTHER_RSA_KEY, f"unknown-{i}") for i in range(10)]
    forged = [flood[0].replace(flood[0].split(".")[0], b64(b'{"alg":"RS256","kid":"%d"}' % i)) for i in range(1000)]
    outcomes = await asyncio.gather(*(verifier.verify(one) for one in forged), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TokenInvalid}
    assert rig.server.requests == 1
    await refused(verifier, flood[0])
    for one in flood:
        await unavailable(verifier, one)
    assert rig.server.requests == 2
    before = rig.server.requests
    rig.clock.now += 29
    await unavailable(verifier, flood[0])
    assert rig.server.requests == before
    rig.clock.now += 2
    await refused(verifier, flood[0])
    await unavailable(verifier, flood[1])
    assert rig.server.requests == before + 1
    assert (await verifier.verify(signed_by())).user == "ada"


async def test_every_key_of_a_kid_is_tried(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(OTHER_RSA_KEY, kid="one"), jwk(EC_KEYS["ES256"], kid="one"))
    verifier = rig.verifier(audience="herald")
    for key, algorithm in ((RSA_KEY, "RS256"), (OTHER_RSA_KEY, "PS512"), (EC_KEYS["ES256"], "ES256")):
        assert (await verifier.verify(signed_by(key, "one", algorithm, aud="herald"))).user == "ada"
    third = rsa.generate_private_key(65537, 2048)
    await refused(verifier, signed_by(third, "one", aud="herald"))
    # The reason is that of the key which did sign it.
    for key in (RSA_KEY, OTHER_RSA_KEY):
        assert "audience" in (await refused(verifier, signed_by(key, "one", aud="them"))).detail
    assert rig.server.requests == 1


async def test_how_many_keys_are_tried_is_bounded(rig: Rig) -> None:
    rig.server.body = key_set(*[jwk(OTHER_RSA_KEY, kid="one")] * MAX_CANDIDATES, jwk(RSA_KEY, kid="one"))
    await refused(rig.verifier(), signed_by())


@pytest.mark.parametrize(
    "kid",
    ["../../../../etc/passwd", "/dev/null", "' OR 1=1 --", "one\0", "one\n", "ONE", "", "k" * 9000, "http://127.0.0.1:9/",
     "\ud800", 1, 1.5, True, None, ["one"], {"kid": "one"}],
    ids=short,
)  # fmt: skip
async def test_kid_rubbish(rig: Rig, kid: Any) -> None:
    header = json.dumps({"alg": "RS256", "kid": kid}).encode()
    text = f"{b64(header)}.{b64(CLAIMS_OF_ADA)}"
    jws = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    await refused(rig.verifier(), f"{text}.{b64(jws.sign(text.encode(), RSA_KEY))}")
    assert rig.server.requests <= 1


async def test_algorithms_not_in_use_cost_no_fetch(rig: Rig) -> None:
    verifier = rig.verifier(algorithms=("RS256",))
    for forged in (token(), signed_by(EC_KEYS["ES256"], "one", "ES256"), signed_by(RSA_KEY, "one", "PS256"), "a.b.c"):
        await refused(verifier, forged)
    assert rig.server.requests == 0


async def test_a_published_key_is_never_a_secret(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one", alg="HS256"), jwk(OTHER_RSA_KEY, kid="two"))
    verifier = rig.verifier()
    for guess in (pem(RSA_KEY), pem(OTHER_RSA_KEY), json.dumps(jwk(RSA_KEY))):
        for kid in (b"one", b"two"):
            await refused(verifier, hmac_signed(b'{"alg":"HS256","kid":"%s"}' % kid, CLAIMS_OF_ADA, guess.encode()))
    await refused(verifier, signed_by(RSA_KEY, "one"))


OCT = {"kty": "oct", "k": b64(SECRET.encode()), "kid": "one"}


@pytest.mark.parametrize(
    "keys",
    [
        [OCT], [{**OCT, "alg": "RS256"}], [jwk(RSA_KEY, kid="one", use="enc")], [jwk(RSA_KEY, kid="one", alg="RS512")],
        [jwk(RSA_KEY, kid="one", alg="RSA-OAEP")], [jwk(RSA_KEY, kid="one", key_ops=["encrypt"])],
        [jwk(RSA_KEY, kid="one", kty="EC")], [jwk(RSA_KEY, kid=["one"])], [jwk(RSA_KEY, kid="one", n="AQAB")],
        [jwk(RSA_KEY, kid="one", n=5)], [jwk(RSA_KEY, kid="one", kty=["RSA"])],
        [jwk(RSA_KEY, kid="one", alg=["RS256"])],
        [jwk(rsa.generate_private_key(65537, 1024), kid="one")], [jwk(EC_KEYS["ES256"], kid="one", alg="RS256")],
        [5], ["one"], [None], [[]], [{}],
    ],
)  # fmt: skip
async def test_keys_that_are_not_for_this(rig: Rig, keys: list[Any]) -> None:
    rig.server.body = key_set(*keys, jwk(OTHER_RSA_KEY, kid="good"))
    verifier = rig.verifier()
    await refused(verifier, signed_by(RSA_KEY, "one"))
    await refused(verifier, token(SECRET, "HS256", headers={"kid": "one"}))
    assert (await verifier.verify(signed_by(OTHER_RSA_KEY, "good"))).user == "ada"


async def test_a_key_for_one_algorithm(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one", alg="RS512", use="sig", key_ops=["verify"], unknown=[1]))
    verifier = rig.verifier()
    assert (await verifier.verify(signed_by(RSA_KEY, "one", "RS512"))).user == "ada"
    await refused(verifier, signed_by(RSA_KEY, "one", "RS256"))


async def test_a_set_without_a_key_for_the_algorithms_in_use(rig: Rig) -> None:
    await unavailable(rig.verifier(algorithms=("ES256",)), signed_by(EC_KEYS["ES256"], "one", "ES256"))


async def test_a_token_that_names_no_key(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(EC_KEYS["ES256"]))
    verifier = rig.verifier()
    assert (await verifier.verify(signed_by(RSA_KEY, None))).user == "ada"
    assert (await verifier.verify(signed_by(EC_KEYS["ES256"], None, "ES256"))).user == "ada"
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(OTHER_RSA_KEY, kid="two"))
    both = rig.verifier()
    for key in (RSA_KEY, OTHER_RSA_KEY):
        assert (await both.verify(signed_by(key, None))).user == "ada"


async def test_a_private_key_published_by_mistake(rig: Rig) -> None:
    rig.server.body = key_set(
        {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "key_ops": None, "kid": "x"}
    )
    await unavailable(rig.verifier(), signed_by(RSA_KEY, "x"))
    private = {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "key_ops": ["verify"], "kid": "x"}
    rig.server.body = key_set(private)
    assert (await rig.verifier().verify(signed_by(RSA_KEY, "x"))).user == "ada"


async def test_server_away_at_the_start(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.stop()
    with capture_logs() as logs:
        for _ in range(5):
            await unavailable(verifier, signed_by())
            rig.clock.now += 1.1
        rig.server.start()
        assert (await verifier.verify(signed_by())).user == "ada"
    assert [line["event"] for line in logs] == ["jwks_unavailable", "jwks_available"]


async def test_server_away_is_not_hammered(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.status = 503
    for _ in range(3):
        outcomes = await asyncio.gather(*(verifier.verify(signed_by()) for _ in range(100)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        await unavailable(verifier, signed_by())
        rig.clock.now += 1.1
    assert rig.server.requests == 3
    await refused(verifier, "rubbish")


async def test_server_away_later(rig: Rig) -> None:
    verifier = rig.verifier(Pace(refresh=0.02))
    await verifier.verify(signed_by())
    with capture_logs() as logs:
        rig.server.stop()
        await until(lambda: bool(logs))
        await asyncio.sleep(0.1)
        assert (await verifier.verify(signed_by())).user == "ada"
        await refused(verifier, signed_by(OTHER_RSA_KEY, "one"))
        await unavailable(verifier, signed_by(OTHER_RSA_KEY, "two"))
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["jwks_unavailable"]
        rig.server.body = key_set(jwk(OTHER_RSA_KEY, kid="two"))
        rig.server.start()
        await until(lambda: logs[-1]["event"] == "jwks_available")
    assert (await verifier.verify(signed_by(OTHER_RSA_KEY, "two"))).user == "ada"


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "empty": {"body": b""},
    "not JSON": {"body": b"<html>welcome to the hotel network</html>"},
    "a list": {"body": b"[]"},
    "an object": {"body": b"{}"},
    "keys no list": {"body": b'{"keys":{"one":1}}'},
    "no keys": {"body": b'{"keys":[]}'},
    "no fitting keys": {"body": key_set(OCT)},
    "too deep": {"body": b'{"keys":' + b"[" * 10_000},
    "too large": {"body": key_set(jwk(RSA_KEY, kid="one")) + b" " * 1_000_000},
    "compressed": {"body": gzip.compress(key_set(jwk(RSA_KEY, kid="one"))), "headers": {"Content-Encoding": "gzip"}},
    "not found": {"status": 404},
    "broken": {"status": 500},
    "nothing": {"status": 204},
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_an_answer_that_is_no_use_changes_nothing(rig: Rig, answer: dict[str, Any]) -> None:
    knowing = rig.verifier()
    await knowing.verify(signed_by())
    for name, value in answer.items():
        setattr(rig.server, name, value)
    with capture_logs() as logs:
        await unavailable(rig.verifier(), signed_by())
    assert logs[0]["error"].startswith(("it answered ", "none of its keys "))
    await unavailable(knowing, signed_by(OTHER_RSA_KEY, "two"))
    assert (await knowing.verify(signed_by())).user == "ada"


async def test_redirects_are_not_followed(rig: Rig) -> None:
    elsewhere = JwksServer()
    elsewhere.body = key_set(jwk(OTHER_RSA_KEY, kid="one"))
    elsewhere.start()
    rig.server.status, rig.server.headers = 302, {"Location": elsewhere.url}
    await unavailable(rig.verifier(), signed_by(OTHER_RSA_KEY))
    elsewhere.stop()
    assert elsewhere.requests == 0


@pytest.mark.parametrize(("delay", "drip"), [(60.0, 0.0), (0.0, 0.05)], ids=["silent", "dripping"])
async def test_a_slow_server_is_away_and_holds_nothing_up(rig: Rig, delay: float, drip: float) -> None:
    rig.server.delay, rig.server.drip = delay, drip
    waiting = asyncio.create_task(unavailable(rig.verifier(Pace(timeout=0.3)), signed_by()))
    longest, last = 0.0, time.monotonic()
    started = last
    while not waiting.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    await waiting
    assert 0.25 < last - started < 3
    assert longest < 0.2


async def test_closing(rig: Rig) -> None:
    waiting_on, knowing = rig.verifier(), rig.verifier()
    await knowing.verify(signed_by())
    rig.server.delay = 60
    waiting = asyncio.create_task(unavailable(waiting_on, signed_by()))
    await until(lambda: rig.server.requests == 2)
    with capture_logs() as logs:
        for verifier in (waiting_on, knowing):
            await verifier.close()
            await verifier.close()
            await unavailable(verifier, signed_by(OTHER_RSA_KEY, "two"))
        await waiting
    assert logs == []
    assert (await knowing.verify(signed_by())).user == "ada"
    assert rig.server.requests == 2
    await with_secret().close()
