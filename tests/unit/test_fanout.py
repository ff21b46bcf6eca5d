"""Fan-out: what a plan stores and how it is divided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.event_limits import Limits
from domain.fanout import Size, divided, size_of
from domain.planning import plan
from domain.plans import Plan
from domain.streams import stored_bytes
from tests.support.core import message, table

ROUTES = table(
    """
profile = "p"
[feeds.f]
access = "public"
[[routes]]
source = "all"
users = ["first"]
otherwise = "drop"
omit = ["first", "second"]
feed = "f"
[[routes]]
source = "all"
users = ["second"]
otherwise = "drop"
as_type = "other"
[[routes]]
source = "all"
feed = "f"
email = { to = "mail", subject = "x", template = "t.html" }
sign_out = "bye"
"""
)


def made(first: int, second: int = 0, bye: int = 0, limits: Limits | None = None, **more: object) -> Plan:
    payload = {"first": [f"u{n}" for n in range(first)], "second": [f"v{n}" for n in range(second)], **more}
    payload |= {"bye": [f"b{n}" for n in range(bye)] or "b", "mail": "a@x.example"}
    return plan(message("all", payload), ROUTES, limits or Limits())


def users(one: Plan) -> list[tuple[str, str]]:
    return [(addressed.content.type, user) for addressed in one.addressed for user in addressed.users]


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 40), st.integers(1, 50_000))
def test_the_parts_of_a_plan_are_the_whole_plan_in_order(
    first: int, second: int, bye: int, rows: int, size: int
) -> None:
    whole = made(first, second, bye)
    parts = list(divided(whole, Size(rows, size)))
    assert [user for part in parts for user in users(part)] == users(whole)
    assert [one for part in parts for one in part.sign_outs] == list(whole.sign_outs)
    assert (parts[0].broadcasts, parts[0].deliveries, parts[0].dead_letter) == (
        whole.broadcasts,
        whole.deliveries,
        None,
    )
    assert all((part.origin, part.event_id, part.message) == ("all", "m-1", whole.message) for part in parts)
    for part in parts:
        assert sum(len(one.users) for one in part.addressed) + len(part.sign_outs) <= rows
        held = sum(len(one.users) * stored_bytes(one.content) for one in part.addressed)
        assert held <= size or sum(len(one.users) for one in part.addressed) == 1
    for part in parts[1:]:
        assert (part.broadcasts, part.deliveries, part.dead_letter) == ((), (), None)
        assert part.addressed or part.sign_outs


def test_a_small_plan_is_one_part() -> None:
    whole = made(10, 5, 3)
    assert list(divided(whole, size_of(whole))) == [whole]


def test_the_size_of_a_plan() -> None:
    whole = made(10, 5, 3)
    assert size_of(whole).rows == 10 + 5 + 3 + 1 + 1
    first, second = whole.addressed
    expected = 10 * stored_bytes(first.content) + 5 * stored_bytes(second.content)
    assert size_of(whole).bytes == expected + len(whole.broadcasts[0].content.body) + len(
        whole.deliveries[0].item.payload
    )


def test_the_body_of_a_notification_is_stored_twice() -> None:
    (one,) = made(1, text="é" * 1_000).addressed
    assert stored_bytes(one.content) >= 2 * 2_000


# --- limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "bye"), [(11, 0, 0), (8, 3, 0), (0, 0, 11)])
def test_too_many_recipients_are_a_dead_letter_that_names_the_setting(first: int, second: int, bye: int) -> None:
    limits = Limits(recipients=10)
    letter = made(first, second, bye, limits).dead_letter
    assert letter is not None
    assert letter.reason == "too_many_recipients"
    assert "HERALD_MAX_RECIPIENTS" in letter.detail
    assert "`omit`" in letter.detail
    assert len(made(8, 2, 10, limits).addressed) == 2


def test_a_user_named_by_two_routes_counts_once() -> None:
    routes = table(
        'profile = "p"\n[[routes]]\nsource = "#"\nusers = ["to"]\n[[routes]]\nsource = "a"\nusers = ["to", "cc"]'
    )
    sent = {"to": [1, 2, 3], "cc": [2, 3, 4]}
    assert plan(message("a", sent), routes, Limits(recipients=4)).dead_letter is None
    assert plan(message("a", sent), routes, Limits(recipients=3)).dead_letter is not None


def test_too_many_bytes_are_a_dead_letter_that_names_the_setting() -> None:
    routes = table('profile = "p"\n[[routes]]\nsource = "a"\nusers = ["to"]')
    sent = {"to": [f"user-{n}" for n in range(1_000)], "text": "x"}
    letter = plan(message("a", sent), routes, Limits(fanout_bytes=10_000_000)).dead_letter
    assert letter is not None
    assert letter.reason == "fanout_too_large"
    assert "HERALD_MAX_FANOUT_BYTES" in letter.detail
    assert "`omit`" in letter.detail
    omitting = table('profile = "p"\n[[routes]]\nsource = "a"\nusers = ["to"]\nomit = ["to"]')
    assert plan(message("a", sent), omitting, Limits(fanout_bytes=10_000_000)).dead_letter is None


def test_routes_within_the_limits_are_stored_beside_the_dead_letter() -> None:
    one = made(8, 5, 0, Limits(recipients=10))
    assert [len(addressed.users) for addressed in one.addressed] == [8]
    assert one.dead_letter is not None
