"""Finds contradictions between profiles that are valid by themselves, but can't be loaded together."""

from collections.abc import Iterator, Sequence
from itertools import chain

from domain.endpoint_checks import validate_together
from domain.endpoints import Endpoint, in_force
from domain.profiles import Feed, Profile
from domain.source_patterns import is_wildcard, overlap

# A profile, and the name of its routes file, for error texts.
FiledProfile = tuple[str, Profile]


def find_contradiction(profiles: Sequence[FiledProfile], shipped: Sequence[Endpoint] = ()) -> str | None:
    """Returns the first contradiction between profiles, or between them and the endpoints that Herald ships; None if
    there is none. The text names both files, the route or endpoint, the key, and the reason.
    """
    found = (_names(profiles), _feeds(profiles), _types(profiles), _endpoints(profiles, shipped), _identities(profiles))
    return next(chain(*found), None)


def _names(profiles: Sequence[FiledProfile]) -> Iterator[str]:
    first: dict[str, str] = {}
    for file, profile in profiles:
        if profile.profile in first:
            yield (
                f"{file}: profile: {first[profile.profile]} has the name {profile.profile!r}, too: every profile needs"
                " a name of its own"
            )
        first[profile.profile] = file


def _feeds(profiles: Sequence[FiledProfile]) -> Iterator[str]:
    first: dict[str, tuple[str, Feed]] = {}
    for file, profile in profiles:
        for name, feed in profile.feeds.items():
            other_file, other = first.setdefault(name, (file, feed))
            if other.access != feed.access:
                yield (
                    f"{file}: feeds.{name}: access: is {feed.access!r}, but {other.access!r} in {other_file}: profiles"
                    " that declare the same feed must give it the same access"
                )


def _types(profiles: Sequence[FiledProfile]) -> Iterator[str]:
    first: dict[str, tuple[str, str]] = {}
    for file, profile in profiles:
        for type_, declared in profile.types.items():
            other_file, other = first.setdefault(type_, (file, declared.title))
            if other != declared.title:
                yield (
                    f"{file}: types.{type_}: title: is {declared.title!r}, but {other!r} in {other_file}: profiles that"
                    " declare the same type must give it the same title"
                )


def _endpoints(profiles: Sequence[FiledProfile], shipped: Sequence[Endpoint]) -> Iterator[str]:
    declared = [endpoint for _, profile in profiles for endpoint in profile.endpoints]
    used = in_force(declared, shipped)[len(declared) :]
    # Shipped endpoints come first: the later one of two conflicting endpoints is reported, and that should be the one
    # that a profile declares.
    conflict = validate_together((*used, *declared))
    if conflict is None:
        return
    files = {profile.profile: file for file, profile in profiles}
    file, where = files[conflict.endpoint.profile], ""
    if conflict.other is not None and any(conflict.other is endpoint for endpoint in used):
        where = " (Herald ships that endpoint)"
    elif conflict.other is not None and files[conflict.other.profile] != file:
        where = f" (that endpoint is in {files[conflict.other.profile]})"
    yield f"{file}: endpoint {conflict.endpoint.name!r}: {conflict.fault}{where}"


def _identities(profiles: Sequence[FiledProfile]) -> Iterator[str]:
    """Yields a contradiction for each route that sets `identity`, although an earlier route that matches some of the
    same sources does not. Only the first route that matches a source determines the identity of events from it, so the
    later setting would have no effect on these sources.
    """
    topics: dict[str, str] = {}
    wildcards: dict[str, str] = {}
    for file, profile in profiles:
        for number, route in enumerate(profile.routes, 1):
            if route.identity is None:
                (wildcards if is_wildcard(route.source) else topics).setdefault(route.source, file)
                continue
            # Two sources without wildcards overlap only if they are equal.
            compared = {**topics, **wildcards} if is_wildcard(route.source) else wildcards
            earlier = route.source if route.source in topics else None
            earlier = earlier or next((source for source in compared if overlap(source, route.source)), None)
            if earlier is not None:
                other = (topics | wildcards)[earlier]
                yield (
                    f"{file}: route {number} ({route.source!r}): identity: an earlier route ({earlier!r}"
                    f"{f' of {other}' if other != file else ''}) matches some of the same sources without identity:"
                    " set it there, too"
                )
