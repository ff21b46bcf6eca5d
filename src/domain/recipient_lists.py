"""Warnings about lists of recipients in payloads. A route should omit such a list; otherwise the whole list is stored
for every recipient.
"""

from collections.abc import Iterator

from domain.events import at_path
from domain.routes import Profile, Route
from domain.sample_events import sample_payloads


def warnings_of_lists(profile: Profile) -> Iterator[str]:
    """Yields a warning for each `users` path that may lead to a list and is not omitted.

    If a sample of the route has the field, its value decides whether it is a list. Otherwise a plural name counts as a
    list.
    """
    for number, route in enumerate(profile.routes, 1):
        payloads = sample_payloads(profile, route)
        for path in route.users:
            if not _is_omitted(path, route) and _may_be_list(path, payloads):
                yield f"route {number} ({route.source!r}): {_advice(path, route)}"


def _may_be_list(path: str, payloads: list[object]) -> bool:
    shown = [value for payload in payloads if (value := at_path(payload, path)) is not None]
    if shown:
        return any(type(value) is list for value in shown)
    name = path.lower()
    return name.endswith("list") or (name.endswith("s") and not name.endswith(("ss", "us", "is")))


def _is_omitted(path: str, route: Route) -> bool:
    """Returns whether `omit`, which names fields of the payload or of its `data`, contains the path or one of its
    parents.
    """
    first, _, rest = path.partition(".")
    inner = rest.partition(".")[0] if first == "data" else first
    return route.envelope != "raw" and not {path, first, inner}.isdisjoint(route.omit)


def _advice(path: str, route: Route) -> str:
    text = f"users: {path!r} may be a list, which is stored as a whole for every recipient"
    if route.envelope == "raw":
        return f"{text}: choose another envelope than 'raw', which omits nothing, and add it to omit"
    return f"{text}: add it to omit"
