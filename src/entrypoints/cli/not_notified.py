"""Why users whom an event names are not notified, for `herald routes explain`."""

from collections.abc import Iterator
from typing import Any

from domain.conditions import Condition
from domain.events import Event
from domain.payload_paths import values_at
from domain.plans import Plan
from domain.route_table import RouteTable
from domain.routes import Route
from domain.user_ids import recipients


def not_notified(event: Event, table: RouteTable, made: Plan) -> Iterator[tuple[str, list[str]]]:
    """Yields each user who is named at a path of `users` in a route for the event's source and is not notified, with
    the reasons: one for each such route.
    """
    notified = {user for addressed in made.addressed for user in addressed.users}
    reasons: dict[str, list[str]] = {}
    for route in table.for_source(event.source):
        for user in recipients(event.payload, route.users)[0] if type(event.payload) is dict else ():
            if user not in notified:
                reasons.setdefault(user, []).append(f"{table.name_of(route)} {_reason(route, event, user)}")
    yield from reasons.items()


def _reason(route: Route, event: Event, user: str) -> str:
    if route.type not in (None, event.type):
        return f"is for events of type {route.type!r}"
    if unfulfilled := [f"when.{one.path}" for one in route.conditions if not _accepts(one, event.payload)]:
        return f"does not apply: {', '.join(unfulfilled)}"
    if by := [path for path in route.exclude if user in recipients(event.payload, (path,))[0]]:
        return f"excludes this user: {', '.join(by)}"
    return "could not be applied: see the dead letter"


def _accepts(condition: Condition, payload: Any) -> bool:
    return condition.accepts(values_at(payload, condition.path))
