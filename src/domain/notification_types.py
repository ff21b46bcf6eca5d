"""Notification types: those that the routes of the loaded profiles can lead to, with the titles that users see."""

from collections.abc import Iterator

import msgspec

from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import Route


class NotificationType(msgspec.Struct, frozen=True):
    """A type that notifications or deliveries of the loaded routes can have. `title` is the one that a profile
    declares, or else made from the type. `profiles` are the profiles that declare or use the type.
    """

    type: str
    title: str
    profiles: tuple[str, ...]


def notification_types(table: RouteTable) -> tuple[NotificationType, ...]:
    """Returns the types that are known from the profiles: the declared ones (`[types.<type>]`), and those in the keys
    `as_type` and `type` of routes. They are in the order of the profiles; in each, the declared types come first. A
    type that only events contain is not known.
    """
    profiles: dict[str, list[str]] = {}
    for profile in table.profiles:
        for type_ in dict.fromkeys((*profile.types, *filter(None, map(_type_of, _notifying_routes(profile))))):
            profiles.setdefault(type_, []).append(profile.profile)
    return tuple(NotificationType(type_, table.title_of(type_), tuple(names)) for type_, names in profiles.items())


def warnings_of_unused_types(profile: Profile) -> Iterator[str]:
    """Yields a warning for each declared type that no event can have, because every route of the profile that notifies
    users sets another type.
    """
    used = {_type_of(route) for route in _notifying_routes(profile)}
    if None not in used:
        for type_ in profile.types:
            if type_ not in used:
                yield f"types.{type_}: no route of this profile leads to notifications of this type"


def _notifying_routes(profile: Profile) -> Iterator[Route]:
    """Returns the routes that lead to notifications or deliveries, whose types users can mute."""
    return (route for route in profile.routes if route.users or route.channels)


def _type_of(route: Route) -> str | None:
    """Returns the type of everything that a route leads to; None if it depends on the event."""
    return route.as_type or route.type
