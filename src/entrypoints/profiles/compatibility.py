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
    """The table `reference` of the file. `default` is the `reference` of routes that have `email` but no `reference`.
    `email_key` is the key in `email` that had the meaning of `reference` in earlier versions.
    """

    default: str
    email_key: str


class Compatibility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file. `topics` maps a topic to the key of the setting whose topics replace it. `endpoints` are
    the endpoints that Herald ships."""

    reference: Reference
    topics: dict[str, str]
    endpoints: tuple[Endpoint, ...]


@cache
def compatibility() -> Compatibility:
    """Returns the decoded content of `compatibility.toml`."""
    text = (files("entrypoints.profiles") / FILE).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Compatibility)


def with_references(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the decoded routes file, in which every route that sends mails has a `reference`."""
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
    """Returns the profile, in which topics are replaced by the topics of settings. A route of a topic that several
    topics replace is copied for each of them; a sample uses the first.
    """
    topics = {topic: settings.value(name) for topic, name in compatibility().topics.items()}
    routes = tuple(
        replace(route, source=topic) for route in profile.routes for topic in topics.get(route.source, (route.source,))
    )
    samples = tuple(
        replace(sample, source=topics.get(sample.source, (sample.source,))[0]) for sample in profile.samples
    )
    return replace(profile, routes=routes, samples=samples)
