"""Renames the sources of profiles, as the settings HERALD_SOURCES_<PROFILE> say."""

import difflib
from collections.abc import Collection, Mapping
from typing import Final

from msgspec.structs import replace

from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.source_patterns import is_wildcard
from entrypoints.settings.entrypoint_settings import ONLY_SOURCE

PREFIX: Final = "HERALD_SOURCES_"


def variable_of(profile: str) -> str:
    """Returns the name of the environment variable that renames the sources of a profile."""
    return PREFIX + profile.upper().replace("-", "_")


def check_variables(table: RouteTable, variables: Collection[str], shipped: Collection[str]) -> None:
    """Raises RoutesInvalid if two profiles have the same variable, or if one of the `variables` that are set belongs to
    no profile. A profile in `shipped` need not be loaded: a setting may be shared by nodes that load different
    profiles.
    """
    owners: dict[str, str] = {}
    for file, profile in zip(table.files, table.profiles, strict=True):
        variable = variable_of(profile.profile)
        if variable in owners:
            raise RoutesInvalid(
                f"{file}: profile: {profile.profile!r} differs from the name of the profile in {owners[variable]} only"
                f" in '-' and '_', so {variable} would rename the sources of both: choose another name"
            )
        owners[variable] = file
    known = sorted({*owners, *map(variable_of, shipped)})
    for variable in sorted(variables):
        if variable not in known:
            nearest = difflib.get_close_matches(variable, known, 1, 0)[0]
            raise RoutesInvalid(
                f"{variable}: no profile of this name is loaded: did you mean {nearest}? There are {', '.join(known)}."
            )


def with_renamed_sources(profile: Profile, file: str, names: Mapping[str, str]) -> Profile:
    """Returns the profile with the sources of its routes and samples renamed. `names` maps old names to new ones; the
    old name ONLY_SOURCE stands for the only source of the profile. Raises RoutesInvalid if a name does not fit the
    profile.
    """
    if not names:
        return profile
    sources = tuple(dict.fromkeys(route.source for route in profile.routes))
    place = f"{variable_of(profile.profile)}: the profile in {file}"
    new_names = _by_source(names, sources, place)
    kept = {source: new_names.get(source, source) for source in sources}
    if twice := next((new for new in new_names.values() if list(kept.values()).count(new) > 1), None):
        raise RoutesInvalid(f"{place} would have two sources with the name {twice!r}")
    return replace(
        profile,
        routes=tuple(replace(route, source=kept[route.source]) for route in profile.routes),
        samples=tuple(replace(one, source=new_names.get(one.source, one.source)) for one in profile.samples),
    )


def _by_source(names: Mapping[str, str], sources: Collection[str], place: str) -> Mapping[str, str]:
    """Returns the new names by old name, without ONLY_SOURCE. Raises RoutesInvalid for an unknown old name."""
    renamable = [source for source in sources if not is_wildcard(source)]
    listed = f"Its sources are {', '.join(sources)}."
    if ONLY_SOURCE in names:
        if len(sources) != 1 or not renamable:
            raise RoutesInvalid(
                f"{place} has no single source without wildcards: write old={names[ONLY_SOURCE]}. {listed}"
            )
        return {renamable[0]: names[ONLY_SOURCE]}
    for old in names:
        if old not in renamable:
            nearest = difflib.get_close_matches(old, renamable, 1, 0)
            hint = f": did you mean {nearest[0]!r}? {listed}" if nearest else f". {listed}"
            raise RoutesInvalid(f"{place} has no source {old!r}{hint}")
    return names
