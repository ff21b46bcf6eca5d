"""Fields that words need and an event may lack: the title, the message or the subject is lost with them."""

from collections.abc import Iterator
from typing import Any, Final

from domain.routes import Profile, Route, route_templates
from domain.samples import sample_payloads
from domain.templates import unfilled

# What becomes of an event whose payload lacks a field of these words.
_CONSEQUENCES: Final = {
    "inbox.title": "its type is the title",
    "inbox.message": "it has no message",
    "email.subject": "its mail fails",
}


def warnings_of_missing_fields(profile: Profile) -> Iterator[str]:
    """A warning for each title, message and subject with fields that an event may lack and no fallback for them.

    Samples of the route show which fields its events have: what each of them has is taken to be there. Without samples
    any field may be missing.
    """
    for number, route in enumerate(profile.routes, 1):
        payloads = sample_payloads(profile, route) or [{}]
        for key, words in _words_in_use(route):
            holes = list(dict.fromkeys(hole for payload in payloads for hole in unfilled(words, payload)))
            if holes:
                yield (
                    f"route {number} ({route.source!r}): {key}: where an event lacks {_listed(holes, 'or')},"
                    f" {_CONSEQUENCES[key]}: write {{{holes[0]}|}} for empty text"
                )


def lost_words(route: Route, payload: Any) -> Iterator[str]:
    """What a payload lacks for the words of a route that takes it, and what becomes of the event then."""
    for key, words in _words_in_use(route):
        if holes := unfilled(words, payload):
            yield f"{key}: the event lacks {_listed(holes, 'and')}: {_CONSEQUENCES[key]}"


def _words_in_use(route: Route) -> Iterator[tuple[str, str]]:
    """The templates of a route by key; those of an inbox only where there are users who have one."""
    return (
        (key, words) for key, words in route_templates(route).items() if route.users or not key.startswith("inbox.")
    )


def _listed(holes: list[str], conjunction: str) -> str:
    *others, last = (f"{{{hole}}}" for hole in holes)
    return f"{', '.join(others)} {conjunction} {last}" if others else last
