"""What changes between two route tables, and which changes need a restart of the process."""

from collections.abc import Collection, Iterator, Sequence

import msgspec

from domain.endpoints import Endpoint
from domain.route_table import RouteTable
from domain.routes import Route


def reasons_to_restart(old: RouteTable, new: RouteTable, brokers: Collection[str], override: str | None) -> list[str]:
    """Returns why `new` can't replace `old` in a running process, each reason with the profile or endpoint and the key;
    empty if it can.

    A process serves the endpoints, and reads the brokers, with which it was started. `brokers` are those to which a
    process subscribes. `override` is the broker that all profiles use instead of their own, if it is set.
    """
    return [
        *_changed_endpoints(old.endpoints, new.endpoints),
        *_changed_brokers(old, new, override),
        *_other_brokers(old, new, brokers, override),
    ]


def changed_sources(
    old: RouteTable, new: RouteTable, broker: str, override: str | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Returns the source patterns of a broker that `new` adds, and those that it removes."""
    before, after = old.sources(broker, override), new.sources(broker, override)
    return [one for one in after if one not in before], [one for one in before if one not in after]


def changed_routes(old: RouteTable, new: RouteTable) -> list[str]:
    """Returns the names of the routes of `new` that `old` does not have, or has with other keys, such as `orders/1`."""
    before = {_content(route) for route in old.routes}
    return [
        f"{profile.profile}/{number}"
        for profile in new.profiles
        for number, route in enumerate(profile.routes, 1)
        if _content(route) not in before
    ]


def _content(route: Route) -> bytes:
    return msgspec.json.encode(route, enc_hook=repr, order="deterministic")


def _changed_endpoints(old: Sequence[Endpoint], new: Sequence[Endpoint]) -> Iterator[str]:
    before, after = {one.name: one for one in old}, {one.name: one for one in new}
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            change = "was added" if name not in before else "was removed" if name not in after else "has changed"
            profile = (after.get(name) or before[name]).profile
            yield f"profile {profile}: endpoint {name!r} {change}"


def _changed_brokers(old: RouteTable, new: RouteTable, override: str | None) -> Iterator[str]:
    before = {profile.profile: profile.broker for profile in old.profiles}
    for profile in new.profiles:
        broker = before.get(profile.profile, profile.broker)
        if override is None and profile.broker != broker:
            yield f"profile {profile.profile}: broker: it has changed from {broker!r} to {profile.broker!r}"


def _other_brokers(old: RouteTable, new: RouteTable, brokers: Collection[str], override: str | None) -> Iterator[str]:
    for broker in brokers:
        before, after = old.sources(broker, override), new.sources(broker, override)
        if after and not before:
            profile = next(one.profile for one in new.profiles if (override or one.broker) == broker)
            yield f"profile {profile}: broker: this process does not read {broker!r}, because no route used it so far"
        elif before and not after:
            yield f"no route uses the broker {broker!r} any more"
