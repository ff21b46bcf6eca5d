"""The identity of a caller, and the effect of a sign-out on it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.tokens import find_token, read_cookies
from domain.caller_errors import ScopeMissing, SignedOut, TokenExpired, TokenMissing
from domain.identity import NOBODY, Identity, check_not_signed_out, require_scope, signed_out

SIGN_OUT = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
SECOND = int(SIGN_OUT.timestamp())

SECONDS = st.floats(0, 4e9) | st.integers(0, 4_000_000_000).map(float)
TIMES = st.integers(0, 4 * 10**15).map(lambda micros: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros))
ISSUED = st.none() | SECONDS


# --- scopes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "may"),
    [(set(), False), ({"events:publish"}, True), ({"admin"}, True), ({"events"}, False), ({"events:publish2"}, False)],
)
def test_a_scope_or_admin_gives_access(scopes: set[str], may: bool) -> None:
    assert Identity("ada", frozenset(scopes)).may("events:publish") is may


def test_an_anonymous_caller_without_the_scope_is_asked_for_a_token() -> None:
    assert not NOBODY.may("admin")
    with pytest.raises(TokenMissing):
        require_scope(NOBODY, "events:publish")


def test_a_user_without_the_scope_is_refused() -> None:
    identity = Identity("ada", frozenset({"events:publish"}))
    assert require_scope(identity, "events:publish") is identity
    with pytest.raises(ScopeMissing):
        require_scope(identity, "admin")


# --- sign-out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issued_at", "ended"),
    [
        (None, True),
        (0.0, True),
        (SECOND - 1, True),
        (SECOND - 0.001, True),
        (SECOND, True),
        (SECOND + 0.999, True),
        (SECOND + 1, False),
        (SECOND + 86_400, False),
    ],
)
def test_a_sign_out_ends_tokens_issued_in_its_second_or_before(issued_at: float | None, ended: bool) -> None:
    assert signed_out(issued_at, SIGN_OUT) is ended
    assert not signed_out(issued_at, None)


@given(ISSUED, TIMES, st.timedeltas(timedelta(0), timedelta(days=365)))
def test_a_later_sign_out_ends_at_least_the_same_tokens(
    issued_at: float | None, not_before: datetime, later: timedelta
) -> None:
    if signed_out(issued_at, not_before):
        assert signed_out(issued_at, not_before + later)


@given(SECONDS, st.floats(0, 1e9), TIMES)
def test_a_newer_token_is_accepted_wherever_an_older_one_is(
    issued_at: float, younger: float, not_before: datetime
) -> None:
    if not signed_out(issued_at, not_before):
        assert not signed_out(issued_at + younger, not_before)
    assert signed_out(None, not_before)


@given(SECONDS, TIMES, st.floats(0, 0.999), st.integers(0, 999_999))
def test_fractions_of_a_second_have_no_effect(at: float, not_before: datetime, fraction: float, micros: int) -> None:
    whole = float(int(at))
    assert signed_out(whole, not_before) == signed_out(whole + fraction, not_before.replace(microsecond=micros))


@given(SECONDS.map(lambda at: Identity("ada", issued_at=at)) | st.just(Identity("ada")), TIMES)
def test_admit_refuses_exactly_the_tokens_signed_out(identity: Identity, not_before: datetime) -> None:
    try:
        check_not_signed_out(identity, not_before)
    except TokenExpired:
        assert identity.issued_at is not None
        assert int(identity.issued_at) == int(not_before.timestamp())
    except SignedOut:
        assert identity.issued_at is None or int(identity.issued_at) < int(not_before.timestamp())
    else:
        assert not signed_out(identity.issued_at, not_before)


@pytest.mark.parametrize(("issued_at", "error"), [(SECOND, TokenExpired), (SECOND - 1, SignedOut), (None, SignedOut)])
def test_a_token_of_the_same_second_is_expired_and_an_older_one_signed_out(
    issued_at: float | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_not_signed_out(Identity("ada", issued_at=issued_at), SIGN_OUT)


@given(ISSUED, st.none() | TIMES)
def test_anonymous_callers_are_never_signed_out_and_no_sign_out_refuses_no_one(
    issued_at: float | None, not_before: datetime | None
) -> None:
    check_not_signed_out(Identity(None, issued_at=issued_at), not_before)
    check_not_signed_out(Identity("ada", issued_at=issued_at), None)


# --- places of the token --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER   abc  ", "abc"),
        ("  Bearer abc", "abc"),
        ("Bearer a b", "a b"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("", ""),
        ("Basic YWRhOnB3", "Basic YWRhOnB3"),
        ("abc", "abc"),
        ("Bearer,abc", "Bearer,abc"),
    ],
)
def test_a_token_in_the_authorization_header(header: str, token: str) -> None:
    assert find_token({"authorization": header}, ["bearer.other"], {"herald_token": "other"}, {"jwt": "other"}) == token


@pytest.mark.parametrize(
    ("subprotocols", "token"),
    [
        (["herald.v1", "bearer.a.b.c"], "a.b.c"),
        (["bearer.a.b.c", "herald.v1"], "a.b.c"),
        (["bearer.one", "bearer.two"], "one"),
        (["bearer."], ""),
        (["bearer"], None),
        (["herald.v1"], None),
        ([], None),
    ],
)
def test_a_token_in_the_subprotocols(subprotocols: list[str], token: str | None) -> None:
    assert find_token({}, subprotocols, {}, {}) == token


def test_empty_query_and_cookie_values_are_no_credentials() -> None:
    assert find_token({}, [], {"herald_token": ""}, {"jwt": "", "token": ""}) is None
    assert find_token({}, [], {"herald_token": "c"}, {"jwt": "", "token": ""}) == "c"
    assert find_token({}, [], {"session": "x"}, {"user_id": "ada", "JWT": "x"}) is None


@given(*[st.booleans()] * 5)
def test_the_most_explicit_place_of_a_token_wins(
    header: bool, subprotocol: bool, jwt: bool, token: bool, cookie: bool
) -> None:
    query = {name: f"from {name}" for name, there in (("jwt", jwt), ("token", token)) if there}
    found = find_token(
        {"authorization": "Bearer from header"} if header else {"x-token": "no"},
        ["herald.v1", *(["bearer.from subprotocol"] if subprotocol else [])],
        {"herald_token": "from cookie"} if cookie else {},
        {"user_id": "ada", **query},
    )
    places = {"header": header, "subprotocol": subprotocol, "jwt": jwt, "token": token, "cookie": cookie}
    assert found == next((f"from {place}" for place, there in places.items() if there), None)


@given(
    st.dictionaries(st.sampled_from(["authorization", "cookie", "x"]), st.text()),
    st.lists(st.text() | st.text().map("bearer.{}".format)),
    st.dictionaries(st.sampled_from(["herald_token", "x"]), st.text()),
    st.dictionaries(st.sampled_from(["jwt", "token", "x"]), st.text()),
)
def test_given_credentials_never_make_a_caller_anonymous(
    headers: dict[str, str], subprotocols: list[str], cookies: dict[str, str], query: dict[str, str]
) -> None:
    found = find_token(headers, subprotocols, cookies, query)
    if "authorization" in headers or any(one.startswith("bearer.") for one in subprotocols):
        assert found is not None
    else:
        assert found == (query.get("jwt") or query.get("token") or cookies.get("herald_token") or None)


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], {}),
        (["a=1; herald_token=x.y-_z"], {"a": "1", "herald_token": "x.y-_z"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (['a="b"; c="; d=%41'], {"a": "b", "c": '"', "d": "A"}),
        (["a=1;a=2;;no;=e"], {"a": "2", "": "e"}),
        (['a="\\\\\\101"'], {"a": "\\\\\\101"}),
    ],
)
def test_cookies_are_parsed(lines: list[str], cookies: dict[str, str]) -> None:
    assert read_cookies(lines) == cookies
