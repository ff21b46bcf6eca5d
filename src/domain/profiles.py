"""Profiles: the contents of routes files."""

from typing import Annotated, Any, Final

import msgspec

from domain.endpoints import Endpoint
from domain.routes import Route
from domain.routes_file_keys import Name
from domain.titles import TypeTitle

PUBLIC: Final = "public"
SIGNED_IN: Final = "signed-in"
# What stands before the scope that a feed needs.
SCOPE: Final = "scope:"


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The declaration of a feed in a profile."""

    access: Annotated[
        str,
        msgspec.Meta(
            description='Who may subscribe: `"public"` is everyone, `"signed-in"` every user, and `"scope:<scope>"`'
            " every caller whose token has this scope."
        ),
    ] = SIGNED_IN


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
