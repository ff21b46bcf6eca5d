"""Profiles: the routes files that come with Herald, and the operator's own in their place."""

import difflib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from domain.routes import Profile, RoutesInvalid, RouteTable, read_profile
from entrypoints.settings.loader import Settings, SettingsInvalid

EVERY: Final = "all"

# The source in the products profile that HERALD_PRODUCTS_TOPICS puts other topics in the place of.
PRODUCTS_SOURCE: Final = "product-events"

_FOLDER: Final = files("entrypoints.profiles")
SHIPPED: Final = tuple(
    sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))
)


def load_table(settings: Settings) -> RouteTable:
    """The routes in force; raises RoutesInvalid for a file that is wrong, SettingsInvalid for a profile that there is
    not."""
    profiles = (read_file(settings.routes),) if settings.routes else shipped(settings.profile)
    return RouteTable(tuple(_on_topics(profile, settings.products_topics) for profile in profiles))


def shipped(names: Iterable[str]) -> tuple[Profile, ...]:
    """The profiles of these names; SettingsInvalid for one that there is not."""
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in (*SHIPPED, EVERY):
            nearest = difflib.get_close_matches(name, (*SHIPPED, EVERY), 1, 0)[0]
            raise SettingsInvalid(
                f"HERALD_PROFILE names {name!r}: did you mean {nearest}? There are {', '.join(SHIPPED)}, and {EVERY}."
            )
    chosen = SHIPPED if EVERY in names else names
    return tuple(
        read_profile((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml") for name in chosen
    )


def read_file(path: str) -> Profile:
    """The profile of an operator's routes file; RoutesInvalid if it can't be read or used."""
    try:
        # With a byte order mark or without one: editors on Windows write it.
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RoutesInvalid(f"{path}: this can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RoutesInvalid(f"{path}: this is not UTF-8 from byte {error.start} on") from None
    except ValueError:
        raise RoutesInvalid(f"{path!r}: this is the name of no file") from None
    return read_profile(text, path)


def _on_topics(profile: Profile, topics: tuple[str, ...]) -> Profile:
    routes = tuple(
        replace(route, source=topic)
        for route in profile.routes
        for topic in (topics if route.source == PRODUCTS_SOURCE else (route.source,))
    )
    samples = tuple(
        replace(sample, source=topics[0]) if sample.source == PRODUCTS_SOURCE else sample for sample in profile.samples
    )
    return replace(profile, routes=routes, samples=samples)
