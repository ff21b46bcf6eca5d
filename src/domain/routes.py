"""Routes: the rules that determine the audience, the channels and the envelope of events.

`routes_file` reads them from TOML; `docs/routes.md` describes every key.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from domain.channel_tables import ChannelTable
from domain.endpoints import Endpoint, in_force, validate_together
from domain.source_patterns import as_regex, overlap
from domain.streams import Envelope

Otherwise = Literal["dead-letter", "broadcast", "drop"]
Identity = Literal["cloudevents"]
Tombstone = Literal["ignore", "dead-letter"]

PUBLIC: Final = "public"
SIGNED_IN: Final = "signed-in"

# Maximum number of sources whose routes are cached. A broker has few topics, but publishers may use any number of
# routing keys.
CACHED_SOURCES: Final = 4096


class RoutesInvalid(Exception):
    """Raised if a routes file is invalid, or contradicts another one. The text names the file or profile, the route or
    endpoint, the key, and the reason.
    """


class Inbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `inbox` of a route: the templates of the title and the message that the inbox shows for an event."""

    title: str
    message: str = ""


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The declaration of a feed in a profile. `access` determines who may subscribe to it: `public` (everyone),
    `signed-in` (every user), or `scope:<scope>` (callers with this scope).
    """

    access: str = SIGNED_IN


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule in a profile: which events it applies to, their audience, and their channels. A "path" is a dotted path to
    a field of the payload.

        source      pattern of the topics or routing keys of the events
        type        required type of the events; None for any
        users       paths of the users to notify; at each, a user id or a list of user ids
        feed        feed for the event; with `users`, only if `otherwise` is "broadcast" and the event names no user
        otherwise   what happens if no path in `users` leads to a user: a dead letter, a broadcast to `feed`, or nothing
        tombstone   what happens to a Kafka record without a value: nothing, or a dead letter
        id          path of the event's id, if the payload has no `event_id`
        identity    "cloudevents": events with the same CloudEvents source and id are one event, whatever their topic
        as_type     type that clients receive instead of the event's own
        envelope    form in which plain clients receive the event
        omit        names of payload fields that are neither stored nor sent to clients
        inbox       templates of the title and the message in the inbox
        reference   path of the value by which the delivery log finds the deliveries, such as an invoice number
        sign_out    path of the user whose sessions end and whose tokens become invalid
        profile     name of the profile that contains the route
        channels    tables of outbound channels; in the file, each has its own key, the name of its channel
    """

    source: str
    type: str | None = None
    users: tuple[str, ...] = ()
    feed: str | None = None
    otherwise: Otherwise = "dead-letter"
    tombstone: Tombstone = "ignore"
    id: str | None = None
    identity: Identity | None = None
    as_type: str | None = None
    envelope: Envelope = "event"
    omit: tuple[str, ...] = ()
    inbox: Inbox | None = None
    reference: str | None = None
    sign_out: str | None = None
    profile: str = ""
    channels: tuple[ChannelTable, ...] = ()


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An example of an event in a profile. The front page can publish it, and checks of the profile use its payload."""

    title: str
    source: str
    payload: Any


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of one routes file. `profile` is the name of the profile. `broker` is the name of the broker from
    which its events come.
    """

    profile: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]
    routes: tuple[Route, ...]
    broker: str = "kafka"
    feeds: dict[str, Feed] = {}
    samples: tuple[Sample, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


def route_templates(route: Route) -> dict[str, str]:
    """Returns all templates of a route that are filled with payload fields, by key, such as `inbox.title` or
    `email.subject`.
    """
    templates: dict[str, str] = {}
    if route.inbox:
        templates |= {"inbox.title": route.inbox.title, "inbox.message": route.inbox.message}
    for table in route.channels:
        templates |= {f"{table.channel}.{key}": template for key, template in table.text_templates.items()}
    return templates


class RouteTable:
    """The routes of all loaded profiles, in file order, and their feeds and endpoints.

    `shipped` are the endpoints of Herald itself; a profile replaces one by declaring an endpoint at the same path. The
    constructor raises RoutesInvalid if profiles contradict one another.
    """

    def __init__(self, profiles: tuple[Profile, ...], shipped: Sequence[Endpoint] = ()) -> None:
        self.profiles = profiles
        self.routes = tuple(route for profile in profiles for route in profile.routes)
        self.feeds: dict[str, Feed] = {}
        for profile in profiles:
            for name, feed in profile.feeds.items():
                if self.feeds.setdefault(name, feed) != feed:
                    raise RoutesInvalid(
                        f"profile {profile.profile}: feeds.{name}: access: another profile declares this feed with a"
                        " different value"
                    )
        declared = [endpoint for profile in profiles for endpoint in profile.endpoints]
        self.endpoints = in_force(declared, shipped)
        # Shipped endpoints come first: the later one of two conflicting endpoints is reported, and that should be the
        # one that a profile declares.
        if invalid := validate_together((*self.endpoints[len(declared) :], *declared)):
            endpoint, fault = invalid
            raise RoutesInvalid(f"profile {endpoint.profile}: endpoint {endpoint.name!r}: {fault}")
        self._check_identities()
        self._patterns = tuple((re.compile(as_regex(route.source)), route) for route in self.routes)
        self._by_source = lru_cache(CACHED_SOURCES)(self._match)

    def _check_identities(self) -> None:
        """Raises RoutesInvalid if a route sets `identity`, but an earlier route that matches some of the same sources
        does not. Only the first route that matches a source determines the identity of events from it, so the later
        setting would have no effect on these sources.
        """
        earlier: list[str] = []
        for profile in self.profiles:
            for number, route in enumerate(profile.routes, 1):
                if route.identity is None:
                    earlier.append(route.source)
                elif contradicted := next((source for source in earlier if overlap(source, route.source)), None):
                    raise RoutesInvalid(
                        f"profile {profile.profile}: route {number} ({route.source!r}): identity: an earlier route"
                        f" ({contradicted!r}) matches some of the same sources without identity: set it there, too"
                    )

    def for_source(self, source: str) -> tuple[Route, ...]:
        """Returns the routes whose pattern matches this topic or routing key, whatever their `type`, in file order."""
        return self._by_source(source)

    def _match(self, source: str) -> tuple[Route, ...]:
        return tuple(route for pattern, route in self._patterns if pattern.match(source))

    def name_of(self, route: Route) -> str:
        """Returns the name of a route in logs and metrics: `<profile>/<number>`, such as `orders/1` for the first route
        in the file.
        """
        numbered = ((other, number) for profile in self.profiles for number, other in enumerate(profile.routes, 1))
        return next(f"{other.profile}/{number}" for other, number in numbered if other == route)

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
