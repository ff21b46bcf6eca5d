"""Warnings about lists of recipients in payloads. A payload with such a list is stored once for each recipient, each
time with the whole list, unless the route leaves the list out by naming it in `omit`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.events import Unreadable, read_event
from domain.omissions import Omission, make_omission
from domain.payload_paths import EACH, at_path, steps_of, values_at
from domain.profiles import Profile
from domain.protocol.plain_envelopes import make_body
from domain.routes import Route
from domain.sample_events import message_of, sample_payloads


def warnings_of_lists(profile: Profile) -> Iterator[str]:
    """Yields a warning for each path in the `users` of a route that may lead to a list which the route stores.

    If any sample of the route has a value at the path, the path leads to a list if one of these values is a list.
    Otherwise the name decides: `watchers` and `user_list` count as lists, `user_id` does not.
    """
    for number, route in enumerate(profile.routes, 1):
        samples = sample_payloads(profile, route)
        for path in route.users:
            payloads = [payload for payload in samples if values_at(payload, path)] or [_payload_with(path)]
            if _may_be_list(path, samples) and _stores(route.omission, route, payloads, path):
                yield f"route {number} ({route.source!r}): {_advice(path, route, payloads)}"


def _may_be_list(path: str, payloads: list[object]) -> bool:
    if EACH in steps_of(path):
        return True
    shown = [value for payload in payloads if (value := at_path(payload, path)) is not None]
    if shown:
        return any(type(value) is list for value in shown)
    name = path.lower()
    return name.endswith("list") or (name.endswith("s") and not name.endswith(("ss", "us", "is")))


def _payload_with(path: str) -> object:
    """Returns a payload with a list of users at a path."""
    value: Any = ["ada"]
    for step in reversed(steps_of(path)):
        value = [value] if step == EACH else {step: value}
    return value


def _stores(omission: Omission, route: Route, payloads: list[object], path: str) -> bool:
    """Returns whether a route with this omission stores the value at a path of any of the payloads."""
    return any(values_at(_stored(omission, route, payload), path) for payload in payloads)


def _stored(omission: Omission, route: Route, payload: object) -> Any:
    try:
        event = read_event(message_of(route.source, payload))
        body = msgspec.json.decode(make_body(event, route.envelope, omission))
    except Unreadable:
        return None
    return body if route.envelope in ("raw", "flat") else {"data": body}


def _advice(path: str, route: Route, payloads: list[object]) -> str:
    raw = route.envelope == "raw"
    shown = msgspec.structs.replace(route, envelope="event") if raw else route
    entry = next(
        (entry for entry in _entries(path) if not _stores(make_omission((*route.omit, entry)), shown, payloads, path)),
        path,
    )
    text = f"users: {path!r} may be a list, which is stored as a whole for every recipient"
    if raw:
        return f"{text}: choose another envelope than 'raw', which omits nothing, and add {entry!r} to omit"
    return f"{text}: add {entry!r} to omit"


def _entries(path: str) -> Iterator[str]:
    """Yields what the key `omit` may need, so that the list at a path is left out: the path of the list, from the
    object `data` or from the payload. Fields whose name is a path have the whole path.
    """
    steps = steps_of(path)
    to_list = ".".join(steps[: steps.index(EACH)] if EACH in steps else steps)
    yield from (to_list.removeprefix("data."), to_list, f"data.{to_list}", path)
