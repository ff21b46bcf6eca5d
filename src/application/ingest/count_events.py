"""Counts events by source, type and result, with a limited number of label values."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from application.counters import Counters
from domain.plans import Plan
from domain.route_table import RouteTable

# The label of sources that no route names, and of types beyond the limits.
OTHER: Final = "other"


class EventCountsPolicy(msgspec.Struct, frozen=True):
    """Limits of CountEvents. For each source, at most `max_types` types are counted separately, and none of more than
    `max_length` characters; the rest is counted as "other"."""

    max_types: int = 20
    max_length: int = 100


DEFAULT: Final = EventCountsPolicy()


class CountEvents:
    """Counts events by source, type and result. The result of an event is `duplicate` if it brought nothing new, else
    the code for which it was ignored, `dead_letter`, or `planned`.

    Publishers choose routing keys and types, and a counter for each of them could fill the memory. So the source is
    counted as the first of its routes names it, which may be a pattern such as `order.*`, and types are limited.
    """

    def __init__(self, counters: Counters, policy: EventCountsPolicy = DEFAULT) -> None:
        self._counts = counters.events
        self._policy = policy
        self._types: dict[str, set[str]] = {}  # by source

    def __call__(self, events: Iterable[Plan], repeated: Iterable[Plan], table: RouteTable) -> None:
        """Counts the events of the plans `events`; `repeated` are those of them that are duplicates. `table` has the
        routes by which they were planned."""
        counts = Counter((*self._labels(plan, table), _result(plan)) for plan in events)
        for plan in repeated:
            source, type = self._labels(plan, table)
            counts[source, type, _result(plan)] -= 1
            counts[source, type, "duplicate"] += 1
        self._counts.update(+counts)

    def _labels(self, plan: Plan, table: RouteTable) -> tuple[str, str]:
        routes = table.for_source(plan.message.source) if plan.message is not None else ()
        source = routes[0].source if routes else OTHER
        return source, self._type(source, plan.type or "")

    def _type(self, source: str, type: str) -> str:
        types = self._types.setdefault(source, set())
        if type in types or not type:
            return type
        if len(types) >= self._policy.max_types or len(type) > self._policy.max_length:
            return OTHER
        types.add(type)
        return type


def _result(plan: Plan) -> str:
    if plan.ignored is not None:
        return plan.ignored
    return "planned" if plan.dead_letter is None else "dead_letter"
