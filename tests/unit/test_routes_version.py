"""The version of routes: a hash that is the same for equal routes, and different if anything in them differs."""

from datetime import date

import pytest

from domain.routes_version import version_of
from tests.support.core import table

ROUTES = """
profile = "shop"
[feeds.offers]
access = "public"
[[endpoints]]
name = "shop"
path = "/ws/shop"
transport = "ws"
[[routes]]
source = "shop.order"
users = ["customer"]
inbox = { title = "Order {number}" }
[[routes]]
source = "shop.offer"
feed = "offers"
[[samples]]
title = "An order"
source = "shop.order"
payload = { number = 1, on = 2026-03-01 }
"""


def test_equal_routes_have_the_same_version_whatever_their_comments_and_formatting() -> None:
    other = "# Our shop.\n" + ROUTES.replace(" = ", "=").replace("\n[[", "\n\n[[")
    assert version_of(table(ROUTES)) == version_of(table(other))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Order {number}"', '"Your order {number}"'),
        ('access = "public"', 'access = "signed-in"'),
        ('path = "/ws/shop"', 'path = "/ws/shops"'),
        ('profile = "shop"', 'profile = "store"'),
        ('title = "An order"', 'title = "One order"'),
        ('source = "shop.offer"', 'source = "shop.offers"'),
        (
            'users = ["customer"]',
            'users = ["customer"]\nemail = { to = "email", subject = "Yours", template = "order.html" }',
        ),
        ("on = 2026-03-01", f"on = {date(2026, 3, 2)}"),
    ],
)
def test_other_routes_have_another_version(old: str, new: str) -> None:
    assert old in ROUTES
    changed = ROUTES.replace(old, new)
    assert version_of(table(changed)) != version_of(table(ROUTES))


def test_the_version_is_short_text() -> None:
    version = version_of(table(ROUTES))
    assert len(version) == 12
    assert int(version, 16) >= 0
