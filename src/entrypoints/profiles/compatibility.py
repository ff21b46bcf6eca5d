"""Compatibility with routes files and settings of earlier versions: applies `compatibility.toml` to profiles."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from domain.endpoints import Endpoint
from domain.routes import Profile
from entrypoints.settings.loader import Settings

FILE: Final = "compatibility.toml"


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`default` is the `reference` of a route that has `email` and no `reference`. `email_key` is the key in `email`
    that had this meaning in earlier versions.
    """

    default: str
    email_key: str


class Compatibility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`topics` maps topics to the setting that replaces each by others. `endpoints` are those that Herald ships."""

    reference: Reference
    topics: dict[str, str]
    endpoints: tuple[Endpoint, ...]


@cache
def compatibility() -> Compatibility:
    text = (files("entrypoints.profiles") / FILE).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Compatibility)


def with_references(document: dict[str, Any]) -> dict[str, Any]:
    """The parsed routes file, with a `reference` on every route that sends mails."""
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
    """The profile with its topics replaced as the settings say. Samples of a topic that several replace use
    the first.
    """
    topics = {topic: settings.value(name) for topic, name in compatibility().topics.items()}
    routes = tuple(
        replace(route, source=topic) for route in profile.routes for topic in topics.get(route.source, (route.source,))
    )
    samples = tuple(
        replace(sample, source=topics.get(sample.source, (sample.source,))[0]) for sample in profile.samples
    )
    return replace(profile, routes=routes, samples=samples)
