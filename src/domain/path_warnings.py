"""Warnings about paths that probably lead nowhere: by the samples of a profile, or by their form."""

from collections.abc import Iterator

from domain.conditions import described
from domain.payload_paths import fault_in_path, values_at
from domain.profiles import Profile
from domain.routes import Route
from domain.sample_events import matching_payloads
from domain.user_ids import recipients


def warnings_of_paths(profile: Profile) -> Iterator[str]:
    """Yields a warning for each condition of a route that none of its samples fulfils, for each path in `exclude` at
    which none of its samples names a user, and for each path in other keys with brackets that lead into no list.

    A route without samples causes warnings of the last kind only.
    """
    for number, route in enumerate(profile.routes, 1):
        for warning in (*_bracket_warnings(route), *_sample_warnings(route, matching_payloads(profile, route))):
            yield f"route {number} ({route.source!r}): {warning}"


def _bracket_warnings(route: Route) -> Iterator[str]:
    paths = {"id": route.id, "reference": route.reference, "sign_out": route.sign_out}
    for key, path in [*(("users", path) for path in route.users), *paths.items()]:
        if path is not None and ("[" in path or "]" in path) and fault_in_path(path):
            yield f"{key}: {path!r} is the name of a field with brackets: only [] after a name leads into a list"


def _sample_warnings(route: Route, payloads: list[object]) -> Iterator[str]:
    if not payloads:
        return
    for condition in route.conditions:
        found = [values_at(payload, condition.path) for payload in payloads]
        if not any(map(condition.accepts, found)):
            all_found = described([value for values in found for value in values])
            yield f"when.{condition.path}: no sample fulfils it: expected {condition.expected}, found {all_found}"
    for path in route.exclude:
        if not any(recipients(payload, (path,))[0] for payload in payloads):
            yield f"exclude: no sample names a user at {path!r}"
