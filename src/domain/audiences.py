"""Audiences: which users a route notifies of an event, and whom its key `exclude` leaves out."""

from collections.abc import Set
from typing import Any, Final

from domain.channel_tables import ChannelPlan, ChannelTable
from domain.payload_paths import values_at
from domain.routes import Route
from domain.user_ids import as_user, recipients

_NOBODY: Final[frozenset[str]] = frozenset()


def audience_of(route: Route, payload: Any) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """Returns the users whom a route notifies of an event: those that the event names at the paths in `users`, and not
    at the paths in `exclude`. Also returns the users that it names at both; and the reason why the first invalid user
    id is invalid, or None if all are valid. No user occurs twice.
    """
    users, unusable = recipients(payload, route.users)
    return *_divided(users, excluded_by(route, payload)), unusable


def excluded_by(route: Route, payload: Any) -> Set[str]:
    """Returns the users and addresses that an event names at the paths in `exclude` of a route. Values that are not
    valid user ids are ignored.
    """
    if not route.exclude:
        return _NOBODY
    excluded = set()
    for path in route.exclude:
        for value in values_at(payload, path):
            if (user := as_user(value)) is not None:
                excluded.add(user)
    return excluded


def divide_destinations(
    made: ChannelPlan, table: ChannelTable, excluded: Set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divides the destinations of a channel into those that remain and those that are left out: all, if the user whose
    preferences apply to them is excluded, otherwise those that are excluded themselves. Without a destination, empty
    text stands for one.
    """
    destinations = tuple(dict.fromkeys(made.destinations)) or ("",)
    if made.user in excluded:
        return (), destinations
    return _divided(destinations, frozenset(map(table.as_destination, excluded)))


def _divided(names: tuple[str, ...], excluded: Set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if excluded.isdisjoint(names):
        return names, ()
    return tuple([one for one in names if one not in excluded]), tuple([one for one in names if one in excluded])
