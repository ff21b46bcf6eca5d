"""Counts and logs duplicates: events that were ignored because an event with the same identity is stored already."""

from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from application.counters import Counters
from application.ports.clock import Clock
from domain.plans import Plan
from domain.route_table import RouteTable

log = structlog.get_logger(__name__)

# The label of sources that are not counted separately.
OTHER: Final = "other"


class DuplicatesPolicy(msgspec.Struct, frozen=True):
    """Limits of NoteDuplicates. `max_sources` is the maximum number of sources that are counted and logged separately;
    the rest is counted as "other". `log_interval_s` is the minimum number of seconds between two log lines about the
    same source."""

    max_sources: int = 1_000
    log_interval_s: float = 3_600.0


DEFAULT: Final = DuplicatesPolicy()


class NoteDuplicates:
    """Counts duplicates (events that are stored already) by source and route, and logs at most one per source and hour.

    Most duplicates are harmless: the broker has delivered an event again. But if a route reads the event id from a
    field of the payload, two different events may have the same value there, and the second is lost. So for such a
    route the log line is a warning, otherwise it is informational.
    """

    def __init__(self, clock: Clock, counters: Counters, policy: DuplicatesPolicy = DEFAULT) -> None:
        self._clock = clock
        self._counters = counters
        self._policy = policy
        self._logged: dict[str, float] = {}  # by source: the monotonic time of the last log line, oldest first

    def __call__(self, plans: Iterable[Plan], table: RouteTable) -> None:
        """`table` has the routes by which the plans were made."""
        for plan in plans:
            source = plan.message.source if plan.message is not None else OTHER
            route = table.name_of(plan.route) if plan.route is not None else ""
            counts = self._counters.duplicates_by_route
            label = source if (source, route) in counts or len(counts) < self._policy.max_sources else OTHER
            counts[label, route] += 1
            if self._is_first(source):
                _log(plan, source, route)

    def _is_first(self, source: str) -> bool:
        now = self._clock.monotonic()
        at = self._logged.get(source)
        if at is not None and now - at < self._policy.log_interval_s:
            return False
        self._logged.pop(source, None)
        if len(self._logged) >= self._policy.max_sources:
            del self._logged[next(iter(self._logged))]
        self._logged[source] = now
        return True


def _log(plan: Plan, source: str, route: str) -> None:
    id_field = plan.route.id if plan.route is not None else None
    if id_field:
        log.warning("duplicate_event", source=source, event_id=plan.event_id, route=route, id_field=id_field)
    else:
        log.info("duplicate_event", source=source, event_id=plan.event_id, route=route)
