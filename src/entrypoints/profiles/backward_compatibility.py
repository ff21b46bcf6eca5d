"""Applies `backward_compatibility.toml` to profiles, so that routes files and settings of earlier versions of Herald
still work."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from domain.endpoints import Endpoint
from domain.profiles import Profile
from entrypoints.settings.loader import Settings

FILE: Final = "backward_compatibility.toml"


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `reference` of `backward_compatibility.toml`: how a route that sends mails but has no key `reference`
    gets one.

    In earlier versions, the key was in the route's table `email`, with the name `email_key`. If it is there, its value
    is used, otherwise `default`.
    """

    default: str
    email_key: str


class Compatibility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `backward_compatibility.toml`.

    `topics`: topics of routes and samples that a setting replaces; maps the topic to the key of the setting, for
    example `product-events` to `routing.products_topics`. `endpoints`: the endpoints of the five services that Herald
    replaces.
    """

    reference: Reference
    topics: dict[str, str]
    endpoints: tuple[Endpoint, ...]


@cache
def compatibility() -> Compatibility:
    """Returns the content of `backward_compatibility.toml`, which is read once."""
    text = (files("entrypoints.profiles") / FILE).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Compatibility)


def with_references(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the decoded routes file `document`, with a `reference` in every route that sends mails (see
    Reference)."""
    routes = document.get("routes")
    if not isinstance(routes, list):
        return document
    return {**document, "routes": [_with_reference(route) for route in routes]}


def _with_reference(route: Any) -> Any:
    if not isinstance(route, dict) or "reference" in route or not isinstance(route.get("email"), dict):
        return route
    keys = compatibility().reference
    email = dict(route["email"])
    return {**route, "reference": email.pop(keys.email_key, keys.default), "email": email}


def with_topics(profile: Profile, settings: Settings) -> Profile:
    """Returns the profile, with those topics replaced that a setting replaces (Compatibility.topics).

    If a setting has several topics, a route is copied for each of them, and a sample gets the first of them.
    """
    topics = {topic: settings.value(name) for topic, name in compatibility().topics.items()}
    routes = tuple(
        replace(route, source=topic) for route in profile.routes for topic in topics.get(route.source, (route.source,))
    )
    samples = tuple(
        replace(sample, source=topics.get(sample.source, (sample.source,))[0]) for sample in profile.samples
    )
    return replace(profile, routes=routes, samples=samples)
