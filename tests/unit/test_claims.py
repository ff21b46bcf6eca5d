"""Which user and scopes the claims of a token mean, and why claims are refused."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.jwt.claims import identity_of
from adapters.jwt.refusal import Refusal, TokenRefused, shown
from adapters.jwt.settings import JwtSettings
from domain.identity import Identity

NOW = 1_800_000_000

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["sub", "aud", "iss", "exp", "iat", "nbf", "scope", "scp", "permissions", "realm_access", "oid"]
)
CLAIMS = st.dictionaries(NAMES, JSON)


def identity(claims: dict[str, Any], **settings: Any) -> Identity:
    return identity_of(claims, NOW, JwtSettings(**settings))


def refusal(claims: dict[str, Any], **settings: Any) -> Refusal:
    with pytest.raises(TokenRefused) as caught:
        identity(claims, **settings)
    return caught.value.refusal


def outcome(claims: dict[str, Any], settings: JwtSettings) -> Identity | Refusal:
    try:
        return identity_of(claims, NOW, settings)
    except TokenRefused as refused:
        return refused.refusal


@pytest.mark.parametrize(
    ("name", "claims", "user"),
    [
        ("sub", {"sub": "ada", "oid": "7"}, "ada"),
        ("oid", {"sub": "ada", "oid": "7"}, "7"),
        ("email", {"email": "ada@example.com"}, "ada@example.com"),
        ("preferred_username", {"sub": "x", "preferred_username": "ada"}, "ada"),
        ("https://shop.example/user_id", {"sub": "x", "https://shop.example/user_id": 7}, "7"),
        ("account.id", {"account": {"id": "ada"}}, "ada"),
        ("account.id", {"account.id": "ada", "account": {"id": "bob"}}, "ada"),
    ],
)
def test_the_user_is_read_from_the_configured_claim(name: str, claims: dict[str, Any], user: str) -> None:
    assert identity(claims, user_claim=name).user == user


@pytest.mark.parametrize("name", ["oid", "account.id", "https://shop.example/user_id"])
@pytest.mark.parametrize("claims", [{}, {"oid": None}, {"account": "id"}, {"account": {}}, {"account": [{"id": "x"}]}])
def test_a_token_without_the_configured_claim_is_refused_whatever_its_sub(name: str, claims: dict[str, Any]) -> None:
    assert refusal({"sub": "ada", **claims}, user_claim=name) == Refusal(
        "missing_claim", name, wants="the user's id (HERALD_JWT_USER_CLAIM)"
    )


@pytest.mark.parametrize("user", ["", "u" * 256, "a\nb", "\ud800", True, 1.5, ["ada"], {"id": "ada"}])
def test_the_configured_claim_must_be_a_valid_user_id(user: Any) -> None:
    refused = refusal({"sub": "ada", "oid": user}, user_claim="oid")
    assert (refused.code, refused.claim) == ("invalid_user", "oid")
    assert "HERALD_JWT_USER_CLAIM" in refused.advice


@pytest.mark.parametrize(
    ("claims", "code", "says"),
    [
        ({"aud": "them"}, "wrong_audience", 'The token\'s `aud` is "them"; HERALD_JWT_AUDIENCE is "herald".'),
        ({"aud": ["a", "b"]}, "wrong_audience", 'is ["a", "b"]; HERALD_JWT_AUDIENCE'),
        ({"aud": ["herald", 5]}, "wrong_audience", 'is ["herald", 5]'),
        ({"aud": {"herald": 1}}, "wrong_audience", "is an object"),
        ({"aud": None}, "missing_claim", 'The token has no `aud`; needed is "herald" (HERALD_JWT_AUDIENCE).'),
        ({"iss": "https://id.example"}, "wrong_issuer", 'HERALD_JWT_ISSUER is "https://id.example/".'),
        ({"iss": None}, "wrong_issuer", "is null"),
        ({"sub": None}, "missing_claim", "The token has no `sub`"),
        ({"scope": 5}, "invalid_scopes", "`scope` is 5"),
        ({"exp": 1_800_000_000_000}, "invalid_time", "`exp` is 1800000000000"),
        ({"iat": "now"}, "invalid_time", '`iat` is "now"'),
        ({"nbf": NOW + 60}, "not_valid_yet", "valid only from 2027-01-15 08:01:00 UTC (`nbf`); now it is 2027-01-15"),
        ({"exp": NOW - 60}, "expired", "expired at 2027-01-15 07:59:00 UTC; now it is 2027-01-15 08:00:00 UTC"),
    ],
)
def test_a_refusal_says_what_the_token_has_and_what_the_settings_want(
    claims: dict[str, Any], code: str, says: str
) -> None:
    good = {"sub": "ada", "aud": "herald", "iss": "https://id.example/", "exp": NOW + 60}
    wanted = {"audience": "herald", "issuer": "https://id.example/"}
    assert identity(good, **wanted).user == "ada"
    refused = refusal({**good, **claims}, **wanted)
    assert refused.code == code
    assert says in refused.explanation


@given(CLAIMS, NAMES, st.lists(NAMES | st.just("realm_access.roles"), max_size=2), st.none() | st.just("herald"))
@example({"sub": 10**4000}, "sub", [], None)
@example({"sub": "ada", "exp": float("nan")}, "sub", [], None)
def test_any_claims_give_an_identity_or_a_reason_on_one_line(
    claims: dict[str, Any], user_claim: str, scope_claims: list[str], audience: str | None
) -> None:
    settings = JwtSettings(user_claim=user_claim, scope_claims=tuple(scope_claims), audience=audience)
    result = outcome(claims, settings)
    if isinstance(result, Identity):
        assert result.user == str(claims[user_claim])
    else:
        for text in (result.explanation, result.public or ""):
            assert text.isprintable()
            assert len(text) < 1000


@given(JSON)
def test_values_of_claims_are_shown_short_and_on_one_line(value: Any) -> None:
    assert shown(value).isprintable()
    assert len(shown([value] * 20)) < 9 * 700


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\n\x1b[2J", '"a\\u000a\\u001b[2J"'),
        ("x" * 200, f'"{"x" * 100}…"'),
        (["a", ["b"], {}, None, True], '["a", a list, an object, null, true]'),
        (list("abcdefghij"), '["a", "b", "c", "d", "e", "f", "g", "h", …]'),
        (10**30, "a number that is too large"),
    ],
)
def test_shown_values(value: Any, text: str) -> None:
    assert shown(value) == text
