"""The routes of all loaded profiles together, with their feeds, endpoints and titles."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from domain.contradictions import find_contradiction
from domain.endpoints import Endpoint, in_force
from domain.profiles import Profile
from domain.routes import Route, RoutesInvalid
from domain.source_patterns import as_regex, is_wildcard
from domain.titles import title_of_type

# Maximum number of sources whose routes are cached. A broker has few topics, but publishers may use any number of
# routing keys.
CACHED_SOURCES: Final = 4096


class RouteTable:
    """The routes of all loaded profiles, in file order, and their feeds and endpoints.

    `shipped` are the endpoints of Herald itself; a profile replaces one by declaring an endpoint at the same path.
    `files` are the names of the routes files of the profiles, in the same order, for error texts; if empty, these name
    the profiles. The constructor raises RoutesInvalid if profiles contradict one another.
    """

    def __init__(
        self, profiles: tuple[Profile, ...], shipped: Sequence[Endpoint] = (), files: Sequence[str] = ()
    ) -> None:
        self.profiles = profiles
        self.files = tuple(files) or tuple(f"profile {profile.profile}" for profile in profiles)
        if contradiction := find_contradiction(tuple(zip(self.files, profiles, strict=True)), shipped):
            raise RoutesInvalid(contradiction)
        self.routes = tuple(route for profile in profiles for route in profile.routes)
        self.feeds = {name: feed for profile in profiles for name, feed in profile.feeds.items()}
        self.titles = {type_: one.title for profile in profiles for type_, one in profile.types.items()}
        self.endpoints = in_force([endpoint for profile in profiles for endpoint in profile.endpoints], shipped)
        # The numbers of routes, by source without wildcards, and with a regular expression for each other source.
        # Compiling one takes longer than reading a route.
        self._exact: dict[str, list[int]] = {}
        self._wildcards: list[tuple[re.Pattern[str], int]] = []
        for number, route in enumerate(self.routes):
            if is_wildcard(route.source):
                self._wildcards.append((re.compile(as_regex(route.source)), number))
            else:
                self._exact.setdefault(route.source, []).append(number)
        self._by_source = lru_cache(CACHED_SOURCES)(self._match)

    def for_source(self, source: str) -> tuple[Route, ...]:
        """Returns the routes whose pattern matches this topic or routing key, whatever their `type`, in file order."""
        return self._by_source(source)

    def _match(self, source: str) -> tuple[Route, ...]:
        matching = (number for pattern, number in self._wildcards if pattern.match(source))
        return tuple(self.routes[number] for number in sorted((*self._exact.get(source, ()), *matching)))

    def name_of(self, route: Route) -> str:
        """Returns the name of a route in logs and metrics: `<profile>/<number>`, such as `orders/1` for the first route
        in the file.
        """
        numbered = ((other, number) for profile in self.profiles for number, other in enumerate(profile.routes, 1))
        return next(f"{other.profile}/{number}" for other, number in numbered if other == route)

    def title_of(self, type_: str) -> str:
        """Returns the title of a notification type: the one that a profile declares, or else one made from the type."""
        return self.titles.get(type_) or title_of_type(type_)

    def templates_of(self, channel: str) -> set[str]:
        """Returns the names of the template files that routes use for deliveries through this outbound channel."""
        tables = (table for route in self.routes for table in route.channels)
        return {table.template for table in tables if table.channel == channel and table.template}

    def feeds_of(self, profile: str | None) -> tuple[str, ...]:
        """Returns the names of the feeds that a profile declares; with None, those of all profiles."""
        names = [name for loaded in self.profiles if profile in (None, loaded.profile) for name in loaded.feeds]
        return tuple(dict.fromkeys(names))

    def shown_profile(self, endpoint: Endpoint) -> str | None:
        """Returns the profile whose feeds and notifications plain clients receive at an endpoint. Returns None if the
        profile of the endpoint is not loaded: plain clients then receive those of all profiles.
        """
        return endpoint.profile if self.has_profile(endpoint.profile) else None

    def has_profile(self, name: str) -> bool:
        return any(profile.profile == name for profile in self.profiles)

    def sources(self, broker: str, override: str | None = None) -> tuple[str, ...]:
        """Returns the source patterns to subscribe to at a broker: those in the routes of all profiles that use it. If
        `override` is set, it is the name of the broker that all profiles use, instead of their own `broker`.
        """
        patterns = [
            route.source
            for profile in self.profiles
            if (override or profile.broker) == broker
            for route in profile.routes
        ]
        return tuple(dict.fromkeys(patterns))
