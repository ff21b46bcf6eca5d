"""The settings of the token verifier, and the tokens that it accepts."""

import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import JwtVerifier
from domain.caller_errors import TokenExpired
from domain.identity import Identity
from tests.support.key_server import jwk
from tests.support.tokens import (
    EC_KEYS,
    ED448_KEY,
    ED_KEY,
    HS256,
    NOW,
    RSA_KEY,
    SECRET,
    SIGNERS,
    FakeTime,
    hmac_signed,
    pem,
    private_pem,
    refused,
    token,
    with_key,
    with_secret,
)

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
def test_invalid_settings_are_refused(given_settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        JwtVerifier(JwtSettings(**given_settings))
    for value in (given_settings.get("secret"), given_settings.get("public_key")):
        assert not value or value not in str(caught.value)


def test_settings_never_show_the_secret() -> None:
    assert SECRET not in repr(JwtSettings(secret=SECRET)) + str(JwtSettings(secret=SECRET))


# --- valid tokens ---------------------------------------------------------------------------------------------


async def test_a_token_gives_user_scopes_and_expiry() -> None:
    identity = await with_secret().verify(token(scope="events:publish  admin", jti="t-1"))
    assert identity == Identity("ada", frozenset({"events:publish", "admin"}), NOW - 60, NOW + 600, token_id="t-1")


async def test_only_the_subject_is_required() -> None:
    identity = await with_secret().verify(token(iat=None, exp=None))
    assert identity == Identity("ada", token_id=identity.token_id)


@pytest.mark.parametrize("jti", [None, "", 7, "x" * 129, "\0", "\ud800"])
async def test_a_token_without_a_usable_id_is_identified_by_a_hash(jti: Any) -> None:
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


async def test_both_names_of_edwards_curve_algorithms_are_accepted() -> None:
    assert (await with_key(ED448_KEY).verify(token(ED448_KEY, "EdDSA"))).user == "ada"
    assert (await with_key(ED_KEY, algorithms=("Ed25519",)).verify(token(ED_KEY, "Ed25519"))).user == "ada"
    await refused(with_key(ED_KEY, algorithms=("Ed25519",)), token(ED_KEY, "EdDSA"))
    await refused(with_key(ED_KEY), token(ED448_KEY, "Ed448"))
    await refused(with_key(ED448_KEY), token(ED_KEY, "Ed25519"))


async def test_a_pem_key_on_one_line_is_accepted() -> None:
    one_line = pem(RSA_KEY).replace("\n", "\\n")
    verifier = JwtVerifier(JwtSettings(public_key=one_line), FakeTime())
    assert (await verifier.verify(token(RSA_KEY, "RS256"))).user == "ada"


@pytest.mark.parametrize(
    ("claims", "user"),
    [({"sub": "7"}, "7"), ({"sub": 7}, "7"), ({"sub": "é 😀"}, "é 😀"), ({"sub": "u" * 255}, "u" * 255)],
)
async def test_accepted_subjects(claims: dict[str, Any], user: str) -> None:
    assert (await with_secret().verify(hmac_signed(HS256, json.dumps(claims).encode()))).user == user


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [("a b", {"a", "b"}), (["a", "b"], {"a", "b"}), ("", set()), ([], set()), (None, set()), (" a ", {"a"})],
)
async def test_accepted_scope_claims(scope: Any, scopes: set[str]) -> None:
    claims = json.dumps({"sub": "ada", "scope": scope}).encode()
    assert (await with_secret().verify(hmac_signed(HS256, claims))).scopes == scopes


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scp": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"permissions": ["events:publish"]}, {"events:publish"}),
        ({"scope": "a", "scp": ["b"], "permissions": ["c"]}, {"a", "b", "c"}),
        # Other issuers may use these claims for something else.
        ({"scp": 7, "permissions": [{"rsid": "x"}], "scope": "a"}, {"a"}),
        ({"permissions": {"admin": True}, "scp": ["admin", 1]}, set()),
        ({"roles": ["admin"], "realm_access": {"roles": ["admin"]}}, set()),
    ],
)
async def test_alternative_scope_claims(claims: dict[str, Any], scopes: set[str]) -> None:
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
async def test_scopes_are_read_from_configured_claims(claims: dict[str, Any], scopes: set[str]) -> None:
    verifier = with_secret(scope_claims=("realm_access.roles", "https://shop.example/roles"))
    assert (await verifier.verify(token(**claims))).scopes == scopes


@pytest.mark.parametrize("roles", [7, {"admin": True}, ["admin", 1], True])
async def test_configured_claims_without_scopes_are_refused(roles: Any) -> None:
    refusal = await refused(with_secret(scope_claims=("realm_access.roles",)), token(realm_access={"roles": roles}))
    assert "realm_access.roles" in refusal.detail


@pytest.mark.parametrize("claims", [{"aud": "them"}, {"aud": ["them"]}, {"iss": "anyone"}, {"jti": 5}, {"aud": 5}])
async def test_unconfigured_claims_are_not_checked(claims: dict[str, Any]) -> None:
    for verifier in (with_secret(), with_secret(audience="", issuer="")):
        signed = hmac_signed(HS256, json.dumps({"sub": "ada", **claims}).encode())
        assert (await verifier.verify(signed)).user == "ada"


@pytest.mark.parametrize("audience", ["herald", ["them", "herald"]])
async def test_matching_audience_and_issuer_are_accepted(audience: Any) -> None:
    verifier = with_secret(audience="herald", issuer="https://id.example")
    assert (await verifier.verify(token(aud=audience, iss="https://id.example"))).user == "ada"


async def test_leeway_applies_to_both_limits() -> None:
    verifier = with_secret(leeway=5)
    await verifier.verify(token(exp=NOW - 4, iat=NOW + 5, nbf=NOW + 5))
    with pytest.raises(TokenExpired):
        await verifier.verify(token(exp=NOW - 5))
    await refused(verifier, token(nbf=NOW + 6))
    await refused(verifier, token(iat=NOW + 6))


@pytest.mark.parametrize("now", [1_000_000_000, 4_000_000_000])
async def test_the_given_clock_is_used(now: int) -> None:
    verifier = JwtVerifier(JwtSettings(secret=SECRET), FakeTime(now))
    assert (await verifier.verify(token(iat=now, nbf=now, exp=now + 60))).expires_at == now + 60


async def test_without_a_clock_system_time_is_used() -> None:
    now = int(time.time())
    await JwtVerifier(JwtSettings(secret=SECRET)).verify(token(iat=now, exp=now + 60))
    with pytest.raises(TokenExpired):
        await JwtVerifier(JwtSettings(secret=SECRET)).verify(token(iat=now - 60, exp=now - 30))
