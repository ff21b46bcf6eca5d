"""The examples of the README and of docs/examples work."""

import json
import re
from pathlib import Path

from domain.planning import plan
from domain.route_table import RouteTable
from entrypoints.profiles.loader import read_file, shipped
from tests.support.core import message

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_event_of_the_readme_leads_to_a_result() -> None:
    table = RouteTable(shipped(["all"]))
    events = [json.loads(text) for text in re.findall(r"-d '(\{.*\})'", README)]
    assert len(events) >= 5  # one for each profile
    for event in events:
        made = plan(message(event["source"], event["payload"]), table)
        assert made.dead_letter is None
        assert made.addressed or made.broadcasts, event


def test_the_example_of_private_orders_is_a_valid_routes_file() -> None:
    profile = read_file("docs/examples/orders-private.toml")
    table = RouteTable((profile,))
    order = {"order_id": 7, "customer_id": "kim", "customer_email": "kim@example.com", "status": "shipped"}
    for source in ("order.created", "order.status.updated"):
        made = plan(message(source, order), table)
        assert [one.users for one in made.addressed] == [("kim",)]
        assert [(one.destination, one.user) for one in made.deliveries] == [("kim@example.com", "kim")]
        assert [table.feeds[one.feed].access for one in made.broadcasts] == ["scope:orders:read"]
        assert made.dead_letter is None
