"""What routes files and settings written for earlier versions rely on: `compatibility.toml`, applied to profiles."""

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
    """`default`: the `reference` of a route with `email` that has none; `email_key`: its key in `email` before."""

    default: str
    email_key: str


class Compatibility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`topics`: the setting that replaces each of these topics by others. `endpoints`: those that come with Herald."""

    reference: Reference
    topics: dict[str, str]
    endpoints: tuple[Endpoint, ...]


@cache
def compatibility() -> Compatibility:
    text = (files("entrypoints.profiles") / FILE).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Compatibility)


def with_references(document: dict[str, Any]) -> dict[str, Any]:
    """The parsed routes file, with a `reference` on every route that makes mails."""
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
    """The profile, with topics replaced as the settings say; samples go to the first of several."""
    topics = {topic: settings.value(name) for topic, name in compatibility().topics.items()}
    routes = tuple(
        replace(route, source=topic) for route in profile.routes for topic in topics.get(route.source, (route.source,))
    )
    samples = tuple(
        replace(sample, source=topics.get(sample.source, (sample.source,))[0]) for sample in profile.samples
    )
    return replace(profile, routes=routes, samples=samples)
