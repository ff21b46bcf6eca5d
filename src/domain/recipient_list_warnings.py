"""Warnings about lists of recipients in payloads. A payload with such a list is stored once for each recipient, each
time with the whole list, unless the route leaves the list out by naming it in `omit`.
"""

from collections.abc import Iterator

from domain.payload_paths import EACH, at_path, first_name, steps_of
from domain.profiles import Profile
from domain.routes import Route
from domain.sample_events import sample_payloads


def warnings_of_lists(profile: Profile) -> Iterator[str]:
    """Yields a warning for each path in the `users` of a route that may lead to a list and is not in the `omit` of the
    route.

    If any sample of the route has a value at the path, the path leads to a list if one of these values is a list.
    Otherwise the name decides: `watchers` and `user_list` count as lists, `user_id` does not.
    """
    for number, route in enumerate(profile.routes, 1):
        payloads = sample_payloads(profile, route)
        for path in route.users:
            if not _is_omitted(path, route) and _may_be_list(path, payloads):
                yield f"route {number} ({route.source!r}): {_advice(path, route)}"


def _may_be_list(path: str, payloads: list[object]) -> bool:
    if EACH in steps_of(path):
        return True
    shown = [value for payload in payloads if (value := at_path(payload, path)) is not None]
    if shown:
        return any(type(value) is list for value in shown)
    name = path.lower()
    return name.endswith("list") or (name.endswith("s") and not name.endswith(("ss", "us", "is")))


def _is_omitted(path: str, route: Route) -> bool:
    """Returns whether the route leaves out the value at a path when it stores the event: `omit` contains the path
    itself, or the top-level field (of the payload or of its object `data`) that contains the value. The envelope `raw`
    leaves out nothing.
    """
    outer, field = steps_of(path)[0], first_name(path)
    return route.envelope != "raw" and not {path, outer, field}.isdisjoint(route.omit)


def _advice(path: str, route: Route) -> str:
    field = first_name(path)
    text = f"users: {path!r} may be a list, which is stored as a whole for every recipient"
    if route.envelope == "raw":
        return f"{text}: choose another envelope than 'raw', which omits nothing, and add {field!r} to omit"
    return f"{text}: add {field!r} to omit"
