"""Samples: the examples of events that a profile contains."""

import re

from domain.events import own_type
from domain.profiles import Profile
from domain.routes import Route, fulfilled
from domain.source_patterns import as_regex


def sample_payloads(profile: Profile, route: Route) -> list[object]:
    """Returns the payloads of all samples in the profile to which the route applies: by their source, their type, and
    the conditions of the route.
    """
    return [payload for payload in matching_payloads(profile, route) if fulfilled([route], payload)]


def matching_payloads(profile: Profile, route: Route) -> list[object]:
    """Returns the payloads of all samples in the profile whose source and type match the route, whatever its
    conditions.
    """
    return [
        sample.payload
        for sample in profile.samples
        if re.match(as_regex(route.source), sample.source) and route.type in (None, _type_of(sample.payload))
    ]


def _type_of(payload: object) -> str | None:
    return own_type(payload) if isinstance(payload, dict) else None
