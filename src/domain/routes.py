"""Routes: the rules that determine the audience, the channels and the envelope of events.

`routes_file` reads them from TOML; `docs/routes.md` describes every key.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from domain.channel_tables import ChannelTable
from domain.conditions import Condition, Demand, make_condition
from domain.contradictions import find_contradiction
from domain.endpoints import Endpoint, in_force
from domain.payload_paths import values_at
from domain.routes_file_keys import INTERNAL, Name, PayloadPath, TextTemplate
from domain.source_patterns import as_regex, is_wildcard
from domain.streams import Envelope
from domain.titles import TypeTitle, title_of_type

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
    """The table `inbox` of a route: the templates of the title and the message that the inbox shows for an event, and
    of the URL that the notification links to.
    """

    title: Annotated[
        TextTemplate,
        msgspec.Meta(
            description="The title of the notification: a [template](#templates). If the event lacks a field of it, the"
            " title is that of its type (see [Types](#types))."
        ),
    ]
    message: Annotated[
        TextTemplate,
        msgspec.Meta(
            description="The text below the title: a [template](#templates). If the event lacks a field of it, the"
            " message is empty."
        ),
    ] = ""
    url: Annotated[
        TextTemplate | None,
        msgspec.Meta(
            description="The address that the notification links to, such as `/tickets/{ticket_id}`: a"
            " [template](#templates) that follows the rules in [URLs](#urls). If the event lacks a field of it, the"
            " notification has no URL."
        ),
    ] = None


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The declaration of a feed in a profile."""

    access: Annotated[
        str,
        msgspec.Meta(
            description='Who may subscribe: `"public"` is everyone, `"signed-in"` every user, and `"scope:<scope>"`'
            " every caller whose token has this scope."
        ),
    ] = SIGNED_IN


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A rule in a profile: which events it applies to, their audience, and their channels.

    `profile` is the name of the profile that contains the route. `channels` are the tables of outbound channels; in the
    file, each has its own key, the name of its channel.
    """

    source: Annotated[
        str,
        msgspec.Meta(
            title="pattern",
            description="The topics or routing keys of the events: words separated by dots. `*` stands for one word,"
            " `#` for any number of words, also none.",
        ),
    ]
    type: Annotated[
        str | None,
        msgspec.Meta(description="Only events of this type.", extra={"unset": "any type"}),
    ] = None
    when: Annotated[
        dict[PayloadPath, Demand],
        msgspec.Meta(
            description="Conditions, by path. The route applies to an event only if it fulfils all of them: see"
            " [Conditions](#conditions).",
            extra={"unset": "every event"},
        ),
    ] = {}
    users: Annotated[
        tuple[PayloadPath, ...],
        msgspec.Meta(
            description="The paths of the recipients. The value at each path is a user's id (a string or a whole"
            " number), or a list of ids; `watchers[].id` leads into a list. An id that occurs several times counts"
            " once."
        ),
    ] = ()
    exclude: Annotated[
        tuple[PayloadPath, ...],
        msgspec.Meta(
            description="The paths of users that this route does not notify, although `users` names them, such as the"
            " author of a comment: see [Everyone but the author](#everyone-but-the-author)."
        ),
    ] = ()
    feed: Annotated[
        str | None,
        msgspec.Meta(
            description="The feed that the event goes to; its name is declared in `[feeds.<name>]`. With `users`, the"
            ' feed that `otherwise = "broadcast"` uses.'
        ),
    ] = None
    otherwise: Annotated[
        Otherwise,
        msgspec.Meta(
            description="What to do with an event that names no recipient. `dead-letter`: keep it as a dead letter."
            " `broadcast`: send it to the feed. `drop`: ignore it."
        ),
    ] = "dead-letter"
    tombstone: Annotated[
        Tombstone,
        msgspec.Meta(
            description="What to do with a Kafka record without a value (a tombstone). `ignore`: count it, and nothing"
            " else. `dead-letter`: keep it as a dead letter."
        ),
    ] = "ignore"
    id: Annotated[
        PayloadPath | None,
        msgspec.Meta(
            description="The path of the event's id, in payloads without `event_id`: see [Identity](#identity)."
        ),
    ] = None
    identity: Annotated[
        Identity | None,
        msgspec.Meta(
            description='`"cloudevents"`: events with the same CloudEvents source and id are one event, whatever their'
            " topic. See [Identity](#identity).",
            extra={"unset": "events of two topics are two events"},
        ),
    ] = None
    as_type: Annotated[
        str | None,
        msgspec.Meta(
            description="The type that clients receive instead of the event's own.",
            extra={"unset": "the event's type, else its source"},
        ),
    ] = None
    envelope: Annotated[
        Envelope,
        msgspec.Meta(
            description="The form in which plain clients receive the event. `raw`: the payload's own text. `typed`:"
            " `{type, data}`. `event`: `{event_type, data}`. `flat`: the payload with `broadcastTimestamp`."
        ),
    ] = "event"
    omit: Annotated[
        tuple[Annotated[str, msgspec.Meta(title="name")], ...],
        msgspec.Meta(
            description="Fields of the payload, or of its `data`, that clients don't receive and notifications don't"
            " store. Name the list of recipients here: otherwise it is stored for every recipient. Mails can use these"
            " fields. With `raw` as the envelope nothing is left out."
        ),
    ] = ()
    inbox: Annotated[
        Inbox | None,
        msgspec.Meta(
            description="The title, the message and the URL of the notification: see [Inbox](#inbox).",
            extra={"unset": "the title of the type"},
        ),
    ] = None
    reference: Annotated[
        PayloadPath | None,
        msgspec.Meta(
            description="The path of a value, such as an invoice number, by which the delivery log finds the deliveries"
            " of the route: see [Mails](#mails). It needs `email` or another outbound channel.",
            extra={"unset": "see [Mails](#mails)"},
        ),
    ] = None
    sign_out: Annotated[
        PayloadPath | None,
        msgspec.Meta(
            description="The path of a user. The event ends this user's sessions, and the user's tokens that were"
            " issued before it are refused."
        ),
    ] = None
    profile: Annotated[str, INTERNAL] = ""
    channels: Annotated[tuple[ChannelTable, ...], INTERNAL] = ()

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions in `when`, ready to be evaluated. They must be valid."""
        return tuple(make_condition(path, demand) for path, demand in self.when.items())

    @cached_property
    def tests(self) -> tuple[tuple[str, Callable[[list[Any]], bool]], ...]:
        """For each condition, its path and the function that tests the values there."""
        return tuple((condition.path, condition.accepts) for condition in self.conditions)


def fulfilled(routes: Iterable[Route], payload: Any) -> list[Route]:
    """Returns those of the routes whose conditions the payload fulfils. The values at a path are looked up once,
    because routes of one source often have conditions on the same path.
    """
    known: dict[str, list[Any]] = {}
    chosen = []
    for route in routes:
        for path, accepts in route.tests:
            found = known.get(path)
            if found is None:
                found = known[path] = values_at(payload, path)
            if not accepts(found):
                break
        else:
            chosen.append(route)
    return chosen


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An example of an event in a profile. The front page can publish it, and checks of the profile use its payload."""

    title: Annotated[str, msgspec.Meta(description="What the event means, as the front page shows it.")]
    source: Annotated[str, msgspec.Meta(description="The topic or routing key of the event.")]
    payload: Annotated[
        Any,
        msgspec.Meta(
            description="The payload of the event, usually a table. `{user}` in its texts stands for the user of the"
            " front page."
        ),
    ]


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of one routes file."""

    profile: Annotated[
        Name,
        msgspec.Meta(
            description="The name of the profile: lower-case letters, digits, `_` and `-`, at most 64. No two loaded"
            " profiles have the same."
        ),
    ]
    routes: Annotated[
        tuple[Route, ...],
        msgspec.Meta(description="The routes, at least one: see [Routes](#routes).", extra_json_schema={"minItems": 1}),
    ]
    broker: Annotated[
        str,
        msgspec.Meta(
            description="The broker that the profile's events come from. `memory`: only events that are published over"
            " HTTP. The routes of every profile receive these, too."
        ),
    ] = "kafka"
    feeds: Annotated[
        dict[str, Feed],
        msgspec.Meta(description="The feeds that routes can send events to, by name: see [Feeds](#feeds)."),
    ] = {}
    samples: Annotated[
        tuple[Sample, ...],
        msgspec.Meta(description="Examples of events: see [Samples](#samples)."),
    ] = ()
    endpoints: Annotated[
        tuple[Endpoint, ...],
        msgspec.Meta(description="Where plain clients connect: see [Endpoints](#endpoints)."),
    ] = ()
    types: Annotated[
        dict[str, TypeTitle],
        msgspec.Meta(description="The titles of notification types, by type: see [Types](#types)."),
    ] = {}


def route_templates(route: Route) -> dict[str, str]:
    """Returns all templates of a route that are filled with payload fields, by key, such as `inbox.title` or
    `email.subject`.
    """
    templates: dict[str, str] = {}
    if route.inbox:
        templates |= {"inbox.title": route.inbox.title, "inbox.message": route.inbox.message}
        if route.inbox.url is not None:
            templates["inbox.url"] = route.inbox.url
    for table in route.channels:
        templates |= {f"{table.channel}.{key}": template for key, template in table.text_templates.items()}
    return templates


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
