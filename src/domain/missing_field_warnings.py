"""Warnings about payload fields that a template of a route needs but an event may lack. Without such a field, the
title, message, url or subject can't be made from the template.
"""

from collections.abc import Iterator
from typing import Any, Final

from domain.profiles import Profile
from domain.routes import Route, templates_in_use
from domain.sample_events import sample_payloads
from domain.sample_paths import KnownPaths
from domain.text_templates import unfilled

# The consequence if the payload lacks a field of a template, by key of the template.
_CONSEQUENCES: Final = {
    "inbox.title": "the title is that of its type",
    "inbox.message": "the message is empty",
    "inbox.url": "there is no url",
}


def warnings_of_missing_fields(profile: Profile) -> Iterator[str]:
    """Yields a warning for each title, message, url and subject in a profile with a placeholder that events may be
    unable to fill.

    A field is assumed to be in every event if all samples of the route have it. If the route has no samples, every
    field may be missing. A placeholder with the fallback to empty text (`{author|}`) causes no warning; nor does one
    without a field that any sample has, because it is probably misspelt (see `warnings_of_paths`).
    """
    for number, route in enumerate(profile.routes, 1):
        samples = sample_payloads(profile, route)
        known = KnownPaths(samples)
        for key, template in templates_in_use(route):
            missing = (placeholder for payload in samples or [{}] for placeholder in unfilled(template, payload))
            placeholders = [one for one in dict.fromkeys(missing) if not samples or any(map(known.has, one.split("|")))]
            if placeholders:
                yield (
                    f"route {number} ({route.source!r}): {key}: if an event lacks {_listed(placeholders, 'or')},"
                    f" {_consequence(route, key)}: write {{{placeholders[0]}|}} to use empty text instead"
                )


def unfilled_templates(route: Route, payload: Any) -> Iterator[str]:
    """Yields a line for each template of a route that this payload can't fill, with the missing fields and the
    consequence: `inbox.message: the event lacks {author}: the message is empty`.
    """
    for key, template in templates_in_use(route):
        if placeholders := unfilled(template, payload):
            yield f"{key}: the event lacks {_listed(placeholders, 'and')}: {_consequence(route, key)}"


def _consequence(route: Route, key: str) -> str:
    losses = {table.channel: table.loss for table in route.channels}
    return losses.get(key.partition(".")[0]) or _CONSEQUENCES[key]


def _listed(placeholders: list[str], conjunction: str) -> str:
    *others, last = (f"{{{placeholder}}}" for placeholder in placeholders)
    return f"{', '.join(others)} {conjunction} {last}" if others else last
