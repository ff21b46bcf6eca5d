"""Routes: the rules that determine the audience, the channels and the envelope of events.

`routes_file` reads them from TOML; `docs/routes.md` describes every key.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from domain.channel_tables import ChannelTable
from domain.conditions import Condition, Demand, make_condition
from domain.omissions import Omission, make_omission
from domain.payload_paths import values_at
from domain.routes_file_keys import INTERNAL, PayloadPath, TextTemplate
from domain.streams import Envelope

Otherwise = Literal["dead-letter", "broadcast", "drop"]
Identity = Literal["cloudevents"]
Tombstone = Literal["ignore", "dead-letter"]


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
        tuple[PayloadPath, ...],
        msgspec.Meta(
            description="The paths of fields that clients don't receive and notifications don't store:"
            " `ticket.watchers`, or `comments[].email` in every element of a list. A name without a dot is a field of"
            " the payload, or of its `data`. Name the list of recipients here: otherwise it is stored for every"
            " recipient. Mails can use these fields. With `raw` as the envelope nothing is left out."
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

    @cached_property
    def omission(self) -> Omission:
        """The fields in `omit`, ready to be left out."""
        return make_omission(self.omit)


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


def templates_in_use(route: Route) -> Iterator[tuple[str, str]]:
    """Returns the templates of a route that are filled, each with its key, such as `inbox.title`. A route without
    `users` makes no notifications; of the templates of the inbox, it uses only the URL, for its deliveries.
    """
    return (
        (key, template)
        for key, template in route_templates(route).items()
        if route.users or not key.startswith("inbox.") or (key == "inbox.url" and route.channels)
    )
