"""Texts for events that no route matches: what the routes of their source need."""

from collections.abc import Iterable
from typing import Final

from domain.input_words import nearest

# Maximum number of routes in a text.
_MAX_ROUTES: Final = 5

# The similarity of two sources, from 0 to 1, from which on one may be the other, misspelt.
_SIMILAR: Final = 0.6


def why_no_route(source: str, type_: str | None, needed: Iterable[tuple[str, str]]) -> str:
    """Returns the reason why no route matches an event, as a sentence. `needed` are the routes whose source matches:
    the name of each, and the type that it needs.
    """
    routes = list(needed)
    text = f"No route matches source {source!r}{f' and type {type_!r}' if type_ else ''}"
    if not routes:
        return f"{text}."
    shown = [f"type {needed_type!r} ({name})" for name, needed_type in routes[:_MAX_ROUTES]]
    shown += [f"{len(routes) - _MAX_ROUTES} more"] if len(routes) > _MAX_ROUTES else []
    no_type = "" if type_ else "the event has no type (event_type, type or eventType), and "
    return f"{text}: {no_type}the routes of this source need {', '.join(shown)}."


def source_hint(source: str, sources: Iterable[str]) -> str:
    """Returns a question that names the most similar of the sources of routes, such as `: did you mean 'a.b'?`; an
    empty text if none is similar.
    """
    found = nearest(source, sources, _SIMILAR)
    return f": did you mean {found!r}?" if found else ""
