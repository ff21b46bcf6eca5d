"""Samples: the examples of events that a profile contains."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from domain.broker_messages import Message
from domain.events import own_type
from domain.profiles import Profile, Sample
from domain.routes import Route, fulfilled
from domain.source_patterns import as_regex

# The user who stands for `{user}` when a sample is planned without a front page.
USER: Final = "user-1"

# Maximum number of sources whose patterns are cached: every route is compared with every sample.
CACHED_PATTERNS: Final = 4096

# The time and the id of the message of a sample; they have no meaning.
_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
_ID: Final = "sample"


def sample_payloads(profile: Profile, route: Route) -> list[object]:
    """Returns the payloads of all samples in the profile to which the route applies: by their source, their type, and
    the conditions of the route.
    """
    return [payload for payload in matching_payloads(profile, route) if fulfilled([route], payload)]


def matching_payloads(profile: Profile, route: Route) -> list[object]:
    """Returns the payloads of all samples in the profile whose source and type match the route, whatever its
    conditions.
    """
    return [sample.payload for sample in matching_samples(profile, route)]


def matching_samples(profile: Profile, route: Route) -> list[Sample]:
    """Returns the samples in the profile whose source and type match the route, whatever its conditions."""
    return [
        sample
        for sample in profile.samples
        if has_source(sample, route) and route.type in (None, type_of_sample(sample.payload))
    ]


def has_source(sample: Sample, route: Route) -> bool:
    return _pattern(route.source).match(sample.source) is not None


@lru_cache(CACHED_PATTERNS)
def _pattern(source: str) -> re.Pattern[str]:
    return re.compile(as_regex(source))


def type_of_sample(payload: object) -> str | None:
    return own_type(payload) if isinstance(payload, dict) else None


def message_of(source: str, payload: object) -> Message:
    """Returns the message of a sample, with a user in place of `{user}`."""
    return Message(source, msgspec.json.encode(payload).replace(b"{user}", USER.encode()), _TIME, _ID)
