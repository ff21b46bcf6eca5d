"""Events are counted by source, type and result, once each, with a limited number of label values."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from application.counters import Counters
from application.ingest.count_events import DEFAULT, CountEvents, EventCountsPolicy
from domain.planning import plan
from domain.plans import Plan, refused
from tests.support.core import message, table

ROUTES = table(
    """
profile = "shop"
[feeds.all]
access = "public"
[[routes]]
source = "order.created"
feed = "all"
[[routes]]
source = "order.*"
feed = "all"
[[routes]]
source = "user"
type = "known"
users = ["to"]
"""
)


def event(source: str, type: str | None = None, **fields: Any) -> Plan:
    return plan(message(source, {**fields, **({"type": type} if type is not None else {})}), ROUTES)


class Rig:
    def __init__(self, policy: EventCountsPolicy = DEFAULT) -> None:
        self.counters = Counters()
        self.count = CountEvents(self.counters, policy)

    def counted(self, *events: Plan, repeated: tuple[Plan, ...] = ()) -> Counter[tuple[str, str, str]]:
        self.count(events, repeated, ROUTES)
        return self.counters.events


def test_the_result_is_what_became_of_the_event() -> None:
    tombstone = plan(message("order.created", None), ROUTES)
    unreadable = plan(message("order.created", b"\xff"), ROUTES)
    stored = event("order.created", "new")
    again = event("order.created", "new", n=1)
    assert Rig().counted(
        *(stored, again, tombstone, unreadable, refused(stored, "too large a number"), event("user", "unknown")),
        repeated=(again,),
    ) == {
        ("order.created", "new", "planned"): 1,
        ("order.created", "new", "duplicate"): 1,
        ("order.created", "", "tombstone"): 1,
        ("order.created", "", "dead_letter"): 1,
        ("order.created", "new", "dead_letter"): 1,
        ("user", "unknown", "dead_letter"): 1,
    }


def test_a_repeated_dead_letter_is_a_duplicate() -> None:
    lost = event("user", "known")
    assert Rig().counted(lost, repeated=(lost,)) == {("user", "known", "duplicate"): 1}


def test_the_source_is_what_its_first_route_names() -> None:
    counts = Rig().counted(event("order.created"), event("order.paid"), event("order.sent"), event("nowhere"))
    assert counts == {
        ("order.created", "", "planned"): 1,
        ("order.*", "", "planned"): 2,
        ("other", "", "dead_letter"): 1,
    }


def test_types_are_limited_for_each_source() -> None:
    rig = Rig(EventCountsPolicy(max_types=2, max_length=5))
    for type in ("a", "b", "c", "d", "b", "a", None, "toolong"):
        rig.counted(event("order.created", type))
    rig.counted(event("order.paid", "c"))
    assert rig.counters.events == {
        ("order.created", "a", "planned"): 2,
        ("order.created", "b", "planned"): 2,
        ("order.created", "other", "planned"): 3,
        ("order.created", "", "planned"): 1,
        ("order.*", "c", "planned"): 1,
    }


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8) | st.none(), st.booleans()), max_size=60))
def test_each_event_counts_once_and_the_label_values_are_limited(events: list[tuple[str, str | None, bool]]) -> None:
    rig = Rig(EventCountsPolicy(max_types=3, max_length=4))
    plans = [(event(f"order.{source}", type), repeated) for source, type, repeated in events]
    rig.counted(*(one for one, _ in plans), repeated=tuple(one for one, repeated in plans if repeated))
    counts = rig.counters.events
    assert sum(counts.values()) == len(events)
    assert all(count > 0 for count in counts.values())
    assert sum(count for (*_, result), count in counts.items() if result == "duplicate") == sum(
        repeated for *_, repeated in events
    )
    for source in {source for source, *_ in counts}:
        types = {type for other, type, _ in counts if other == source}
        assert source in {"order.created", "order.*", "other"}
        assert len(types - {"", "other"}) <= 3
        assert all(len(type) <= 5 for type in types)
