"""Routes: for each kind of event, the audience, the channels and the envelope.

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
    """A routes file is invalid. The text has the file, the route or endpoint, the key, and the reason."""


class Inbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an inbox displays an event: text templates, which are filled from the payload."""

    title: str
    message: str = ""


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feed. `access` says who may subscribe: `public`, `signed-in`, or `scope:<scope>`."""

    access: str = SIGNED_IN


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule.

    `source` is a pattern over topics or routing keys; `type`, if given, must be the event's type. `users` are dotted
    paths to recipients, each a string, a whole number or a list of them; every recipient counts once. `feed` is the
    feed that the event is sent to; with `users`, only `otherwise = "broadcast"` uses it. `otherwise` says what to do
    with an event that names no recipient. `sign_out` is the path of a user whose sessions end. `reference` is the path
    of the key by which the delivery log finds the route's deliveries, an invoice number for example. `id` is the path
    of the event's id in payloads without `event_id`; a later event with the same id is a duplicate and is not stored.
    With `identity = "cloudevents"` on the first route of a source, its events are identified by CloudEvents source and
    id alone, not by topic. `as_type` is the type that clients receive; `omit` names fields that are not sent to them.
    `tombstone` says what to do with a Kafka record without a value, which deletes a key. `channels` are the tables of
    outbound channels; in the file each table has its channel's name as key.
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
    """A sample event to test a profile with."""

    title: str
    source: str
    payload: Any


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of one routes file. `broker` is the name of the broker that its events come from."""

    profile: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]
    routes: tuple[Route, ...]
    broker: str = "kafka"
    feeds: dict[str, Feed] = {}
    samples: tuple[Sample, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


def route_templates(route: Route) -> dict[str, str]:
    """Returns the templates of a route that are filled from the payload, by key."""
    templates: dict[str, str] = {}
    if route.inbox:
        templates |= {"inbox.title": route.inbox.title, "inbox.message": route.inbox.message}
    for table in route.channels:
        templates |= {f"{table.channel}.{key}": template for key, template in table.text_templates.items()}
    return templates


class RouteTable:
    """All routes of the loaded profiles, in file order, with their feeds and endpoints. Raises RoutesInvalid if
    profiles contradict one another.

    `shipped` are endpoints that apply unless a profile declares one at the same path.
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
        """Raises RoutesInvalid if a route sets `identity`, but an earlier route that matches some of its sources does
        not. Only the first route of a source decides how its events are identified.
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
        """Returns the routes whose pattern matches the source, of any event type."""
        return self._by_source(source)

    def _match(self, source: str) -> tuple[Route, ...]:
        return tuple(route for pattern, route in self._patterns if pattern.match(source))

    def name_of(self, route: Route) -> str:
        """Returns the name of a route: `<profile>/<number>`, counted in its file from 1."""
        numbered = ((other, number) for profile in self.profiles for number, other in enumerate(profile.routes, 1))
        return next(f"{other.profile}/{number}" for other, number in numbered if other == route)

    def templates_of(self, channel: str) -> set[str]:
        """Returns the names of the templates that routes use for an outbound channel."""
        tables = (table for route in self.routes for table in route.channels)
        return {table.template for table in tables if table.channel == channel and table.template}

    def feeds_of(self, profile: str | None) -> tuple[str, ...]:
        """Returns the feeds that a profile declares; for None, those of all profiles."""
        names = [name for loaded in self.profiles if profile in (None, loaded.profile) for name in loaded.feeds]
        return tuple(dict.fromkeys(names))

    def shown_profile(self, endpoint: Endpoint) -> str | None:
        """Returns the profile whose feeds and notifications plain clients of an endpoint receive. None means all
        profiles, because the endpoint's own profile is not loaded.
        """
        return endpoint.profile if self.has_profile(endpoint.profile) else None

    def has_profile(self, name: str) -> bool:
        return any(profile.profile == name for profile in self.profiles)

    def sources(self, broker: str, override: str | None = None) -> tuple[str, ...]:
        """Returns the source patterns of the routes on one broker. `override` is the broker of all routes, whatever
        their profiles say.
        """
        patterns = [
            route.source
            for profile in self.profiles
            if (override or profile.broker) == broker
            for route in profile.routes
        ]
        return tuple(dict.fromkeys(patterns))
