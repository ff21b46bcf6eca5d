"""Audiences: which users a route notifies of an event, and whom its key `exclude` leaves out."""

from typing import Any, Final, NamedTuple

from domain.channel_tables import ChannelPlan, ChannelTable
from domain.routes import Route
from domain.user_ids import recipients

_NOBODY: Final[frozenset[str]] = frozenset()


class Audience(NamedTuple):
    """The users that an event names at the paths in `users` of a route.

    `users` are those to notify, and `left_out` those that the event also names at the paths in `exclude`; no user
    occurs twice. `unusable` is the reason why the first invalid user id is invalid; None if all are valid.
    """

    users: tuple[str, ...]
    left_out: tuple[str, ...]
    unusable: str | None


def audience_of(route: Route, payload: Any) -> Audience:
    users, unusable = recipients(payload, route.users)
    kept, left_out = _divided(users, excluded_by(route, payload))
    return Audience(kept, left_out, unusable)


def excluded_by(route: Route, payload: Any) -> frozenset[str]:
    """Returns the users and addresses that an event names at the paths in `exclude` of a route. Values that are not
    valid user ids are ignored.
    """
    return frozenset(recipients(payload, route.exclude)[0]) if route.exclude else _NOBODY


def divide_destinations(
    made: ChannelPlan, table: ChannelTable, excluded: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divides the destinations of a channel into those that remain and those that are left out: all, if the user whose
    preferences apply to them is excluded, otherwise those that are excluded themselves. Without a destination, empty
    text stands for one.
    """
    destinations = tuple(dict.fromkeys(made.destinations)) or ("",)
    if made.user in excluded:
        return (), destinations
    return _divided(destinations, frozenset(map(table.as_destination, excluded)))


def _divided(names: tuple[str, ...], excluded: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    left_out = tuple([one for one in names if one in excluded]) if excluded else ()
    return (tuple([one for one in names if one not in excluded]) if left_out else names), left_out
