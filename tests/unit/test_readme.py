"""The README says what is so."""

import re
from pathlib import Path

from domain.planning import plan
from domain.routes import RouteTable
from domain.routes_file import read_profile
from entrypoints.profiles.loader import read_file
from tests.support.core import message

README = Path(__file__).parents[2].joinpath("README.md").read_text()


def test_the_example_of_a_routes_file_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    profile = read_profile(example, "README.md")
    assert [route.source for route in profile.routes] == ["shop.*.created", "shop.offers"]


def test_the_orders_that_only_their_customer_sees_are_a_routes_file() -> None:
    profile = read_file("docs/examples/orders-private.toml")
    table = RouteTable((profile,))
    order = {"order_id": 7, "customer_id": "kim", "customer_email": "kim@example.com", "status": "shipped"}
    for source in ("order.created", "order.status.updated"):
        made = plan(message(source, order), table)
        assert [one.users for one in made.addressed] == [("kim",)]
        assert [(one.address, one.mail.user) for one in made.mails] == [("kim@example.com", "kim")]
        assert [table.feeds[one.feed].access for one in made.broadcasts] == ["scope:orders:read"]
        assert made.dead_letter is None
