"""Routes: which events, for which audience, on which channels, in which envelope.

A routes file is TOML. It is read strictly: a key that is not known here, a wrong type or a pattern that can match
nothing is refused with the file, the route and the field named.
"""

import re
import tomllib
from collections.abc import Collection
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from domain.patterns import as_regex, fault_in, overlap
from domain.preferences import LONGEST_TYPE
from domain.streams import Envelope, fault_in_feed_name
from domain.templates import fault_in_template

Otherwise = Literal["dead-letter", "broadcast", "drop"]
Identity = Literal["cloudevents"]
Tombstone = Literal["ignore", "dead-letter"]

PUBLIC: Final = "public"
SIGNED_IN: Final = "signed-in"


# Sources whose routes are remembered. A broker has few topics, but a publisher may invent any number of routing keys.
CACHED_SOURCES: Final = 4096


class RoutesInvalid(Exception):
    """A routes file that cannot be used. The text names file, route and field."""


class Inbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an inbox shows of an event: templates over its payload."""

    title: str
    message: str = ""


class Email(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail that an event leads to. `to` is the dotted path of the address or addresses, `subject` a template over
    the payload, `template` the name of the template file, `user` the path of the user whose preferences apply."""

    to: str
    subject: str
    template: str
    user: str | None = None


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may listen: `public`, `signed-in`, or `scope:<scope>`."""

    access: str = SIGNED_IN


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule.

    `source` is a pattern over topics or routing keys; `type`, if given, must be the event's. `users` are dotted paths
    to recipients: a string, a number or a list of them each; all are taken together, each once. `feed` makes everyone
    who listens the audience (with `users` as well, it is where `otherwise = "broadcast"` goes). `otherwise` says what
    becomes of an event with `users` paths that lead to nobody. `sign_out` is the path of a user whose sessions end.
    `reference` is the path of the key that the delivery log finds the route's deliveries by: an order's number, say.
    `id` is the path of the event's id in payloads that have no `event_id`; a later event with the same value is a
    duplicate and is not stored, so it has to differ in each event. With `identity` as `cloudevents` on the
    first route of a source, its events are told apart by CloudEvents source and id alone, not by topic. `as_type` is
    the type that clients see; `omit` names what they don't. `tombstone` says what becomes of a Kafka record without a
    value, which deletes a key.
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
    email: Email | None = None
    reference: str | None = None
    sign_out: str | None = None
    profile: str = ""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event to try a profile with."""

    title: str
    source: str
    payload: Any


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One routes file. `broker` is the name of the broker that its events come from."""

    profile: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]
    routes: tuple[Route, ...]
    broker: str = "kafka"
    feeds: dict[str, Feed] = {}
    samples: tuple[Sample, ...] = ()


def read_profile(text: str, file: str, brokers: Collection[str] | None = None) -> Profile:
    """Reads a routes file; raises RoutesInvalid. `file` names it in errors. `brokers` are the names that `broker` may
    have; None allows any."""
    return make_profile(parse_document(text, file), file, brokers)


def parse_document(text: str, file: str) -> dict[str, Any]:
    """The TOML of a routes file; raises RoutesInvalid."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RoutesInvalid(f"{file}: this is not TOML: {error}") from None


def make_profile(document: dict[str, Any], file: str, brokers: Collection[str] | None = None) -> Profile:
    """The profile that a parsed routes file describes; raises RoutesInvalid. Else as read_profile."""
    try:
        profile = msgspec.convert(document, Profile)
    except msgspec.ValidationError as error:
        raise RoutesInvalid(f"{file}: {_in_words(str(error))}") from None
    if brokers is not None and profile.broker not in brokers:
        raise RoutesInvalid(f"{file}: broker: must be one of {', '.join(brokers)}, not {profile.broker!r}")
    for name in profile.feeds:
        if fault := fault_in_feed_name(name) or _fault_in_access(profile.feeds[name].access):
            raise RoutesInvalid(f"{file}: feeds.{name}: {fault}")
    if not profile.routes:
        raise RoutesInvalid(f"{file}: routes: there is none")
    for number, route in enumerate(profile.routes, 1):
        if fault := _fault_in_route(route, profile):
            raise RoutesInvalid(f"{file}: route {number} ({route.source!r}): {fault}")
    routes = tuple(msgspec.structs.replace(route, profile=profile.profile) for route in profile.routes)
    return msgspec.structs.replace(profile, routes=routes)


def _fault_in_route(route: Route, profile: Profile) -> str | None:
    if fault := fault_in(route.source):
        return f"source: {fault}"
    if route.profile:
        return "profile: it is named once, at the top of the file"
    for name, text in _texts(route).items():
        if "\0" in text:
            return f"{name}: holds U+0000, which can't be stored"
    if len(route.as_type or "") > LONGEST_TYPE:
        return f"as_type: has more than {LONGEST_TYPE} characters"
    if not (route.users or route.feed or route.email or route.sign_out):
        return "it leads nowhere: give it users, feed, email or sign_out"
    if route.feed is not None and route.feed not in profile.feeds:
        return f"feed: {route.feed!r} is not declared: add [feeds.{route.feed}] and say who may listen"
    if route.otherwise == "broadcast" and not (route.users and route.feed):
        return "otherwise: 'broadcast' needs users to miss and a feed to go to"
    if route.reference is not None and route.email is None:
        return "reference: the delivery log finds deliveries by it, and without email this route makes none"
    for field, template in words_of(route).items():
        if fault := fault_in_template(template):
            return f"{field}: {fault}"
    return None


def _texts(route: Route) -> dict[str, str]:
    """The texts of a route that are stored with its events, by key."""
    texts = {"as_type": route.as_type, "email.template": route.email.template if route.email else None}
    return words_of(route) | {name: text for name, text in texts.items() if text is not None}


def words_of(route: Route) -> dict[str, str]:
    """The templates of a route's words, by key."""
    words: dict[str, str] = {}
    if route.inbox:
        words |= {"inbox.title": route.inbox.title, "inbox.message": route.inbox.message}
    if route.email:
        words["email.subject"] = route.email.subject
    return words


def _fault_in_access(access: str) -> str | None:
    if access in (PUBLIC, SIGNED_IN) or (access.startswith("scope:") and access != "scope:"):
        return None
    return f"access: {access!r} is none of 'public', 'signed-in', 'scope:<scope>'"


def _in_words(error: str) -> str:
    """msgspec's `… - at `$.routes[0].envelope`` with routes counted from 1, as people do."""
    text, _, path = error.partition(" - at `$")
    path = re.sub(r"\.?(routes|samples)\[(\d+)\]", lambda hit: f"{hit[1][:-1]} {int(hit[2]) + 1}: ", path.rstrip("`"))
    where = path.replace("[...]", "").strip(".: ").replace(": .", ": ")
    return f"{where}: {text}" if where else text


class RouteTable:
    """All routes in force, in file order, with what they say of feeds. Raises RoutesInvalid for profiles that
    contradict one another."""

    def __init__(self, profiles: tuple[Profile, ...]) -> None:
        self.profiles = profiles
        self.routes = tuple(route for profile in profiles for route in profile.routes)
        self.feeds: dict[str, Feed] = {}
        for profile in profiles:
            for name, feed in profile.feeds.items():
                if self.feeds.setdefault(name, feed) != feed:
                    raise RoutesInvalid(
                        f"profile {profile.profile}: feeds.{name}: another profile says otherwise who may listen"
                    )
        self._check_identities()
        self._patterns = tuple((re.compile(as_regex(route.source)), route) for route in self.routes)
        self._by_source = lru_cache(CACHED_SOURCES)(self._match)

    def _check_identities(self) -> None:
        """The first route of a source says how its events are identified; a later one that says otherwise would be
        ignored."""
        earlier: list[str] = []
        for profile in self.profiles:
            for number, route in enumerate(profile.routes, 1):
                if route.identity is None:
                    earlier.append(route.source)
                elif contradicted := next((source for source in earlier if overlap(source, route.source)), None):
                    raise RoutesInvalid(
                        f"profile {profile.profile}: route {number} ({route.source!r}): identity: an earlier route"
                        f" ({contradicted!r}) takes some of the same sources without it: set it there, too"
                    )

    def for_source(self, source: str) -> tuple[Route, ...]:
        """The routes whose pattern matches, whatever the type."""
        return self._by_source(source)

    def _match(self, source: str) -> tuple[Route, ...]:
        return tuple(route for pattern, route in self._patterns if pattern.match(source))

    def name_of(self, route: Route) -> str:
        """`<profile>/<number>`, numbered in its file from 1."""
        numbered = ((one, number) for profile in self.profiles for number, one in enumerate(profile.routes, 1))
        return next(f"{one.profile}/{number}" for one, number in numbered if one == route)

    def feeds_of(self, profile: str | None) -> tuple[str, ...]:
        """The feeds that a profile's routes go to; all feeds for None."""
        names = [name for one in self.profiles if profile in (None, one.profile) for name in one.feeds]
        return tuple(dict.fromkeys(names))

    def has_profile(self, name: str) -> bool:
        return any(profile.profile == name for profile in self.profiles)

    def sources(self, broker: str, override: str | None = None) -> tuple[str, ...]:
        """The patterns of the sources on one broker; `override` puts every route there instead of where its profile
        says."""
        patterns = [
            route.source
            for profile in self.profiles
            if (override or profile.broker) == broker
            for route in profile.routes
        ]
        return tuple(dict.fromkeys(patterns))
