"""Warnings about paths that probably lead nowhere: by the samples of a profile, or by their form."""

from collections.abc import Iterable, Iterator
from itertools import chain

from domain.conditions import Requirement, described
from domain.payload_paths import fault_in_path, values_at
from domain.profiles import Profile
from domain.routes import Route, templates_in_use
from domain.sample_events import matching_payloads
from domain.sample_paths import KnownPaths
from domain.text_templates import is_filter, placeholders_of
from domain.user_ids import recipients


def warnings_of_paths(profile: Profile) -> Iterator[str]:
    """Yields a warning for each condition of a route that none of its samples fulfils, for each path in `exclude` at
    which none of its samples names a user, for each other path that none of its samples has, for each path with
    brackets that lead into no list, and for each placeholder with a filter.

    A route without samples causes warnings of the last two kinds only.
    """
    for number, route in enumerate(profile.routes, 1):
        payloads = matching_payloads(profile, route)
        known = KnownPaths(payloads)
        found = [_bracket_warnings(route), _placeholder_warnings(route, known)]
        if payloads:
            found += [_condition_warnings(route, payloads, known), _exclusion_warnings(route, payloads, known)]
            found += [_unknown_paths(route, known)]
        for warning in chain.from_iterable(found):
            yield f"route {number} ({route.source!r}): {warning}"


def _bracket_warnings(route: Route) -> Iterator[str]:
    paths = {"id": route.id, "reference": route.reference, "sign_out": route.sign_out}
    for key, path in [*(("users", path) for path in route.users), *paths.items()]:
        if path is not None and ("[" in path or "]" in path) and fault_in_path(path):
            yield f"{key}: {path!r} is the name of a field with brackets: only [] after a name leads into a list"


def _condition_warnings(route: Route, payloads: list[object], known: KnownPaths) -> Iterator[str]:
    for condition in route.conditions:
        path = condition.path
        hint = "" if known.has(path) else known.hint(path)
        found = [values_at(payload, path) for payload in payloads]
        if not any(map(condition.accepts, found)):
            all_found = described([value for values in found for value in values])
            yield f"when.{path}: no sample fulfils it: expected {condition.expected}, found {all_found}{hint}"
        elif hint and route.when[path] == Requirement(present=False) and (near := known.hint_if_misspelt(path)):
            yield f"when.{path}: no sample has it{near}"


def _exclusion_warnings(route: Route, payloads: list[object], known: KnownPaths) -> Iterator[str]:
    for path in route.exclude:
        if not any(recipients(payload, (path,))[0] for payload in payloads):
            yield f"exclude: no sample names a user at {path!r}{'' if known.has(path) else known.hint(path)}"


def _unknown_paths(route: Route, known: KnownPaths) -> Iterator[str]:
    # An event may name its users at one of several paths, or need none.
    one_suffices = any(map(known.has, route.users)) or route.otherwise != "dead-letter"
    yield from _unknown("users", route.users, known, optional=one_suffices)
    yield from _unknown("omit", route.omit, known, optional=True)
    # Samples that the front page publishes several times have no id.
    yield from _unknown("id", [route.id] if route.id is not None else [], known, optional=True)
    yield from _unknown("reference", [route.reference] if route.reference is not None else [], known, optional=True)
    yield from _unknown("sign_out", [route.sign_out] if route.sign_out is not None else [], known)
    for table in route.channels:
        for key, path in table.paths.items():
            yield from _unknown(f"{table.channel}.{key}", [path], known)


def _placeholder_warnings(route: Route, known: KnownPaths) -> Iterator[str]:
    for key, template in templates_in_use(route):
        for placeholder, paths in placeholders_of(template).items():
            filters = [path for path in paths[1:] if is_filter(path, is_no_field=bool(known)) and not known.has(path)]
            for name in filters:
                yield (
                    f"{key}: {name!r} in {{{placeholder}}} is read as the path of a field: templates in routes have no"
                    " filters"
                )
            if known:
                # The other paths of a placeholder may be those of other events.
                others = [path for path in paths if path not in filters]
                yield from _unknown(key, others, known, optional=any(map(known.has, paths)))


def _unknown(key: str, paths: Iterable[str], known: KnownPaths, optional: bool = False) -> Iterator[str]:
    """Yields a warning for each path that no sample has; if `optional`, only for paths that are probably misspelt."""
    for path in paths:
        if not known.has(path):
            hint = known.hint_if_misspelt(path) if optional else known.hint(path)
            if hint or not optional:
                yield f"{key}: no sample has {path!r}{hint}"
