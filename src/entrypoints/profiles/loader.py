"""Loads profiles: those that Herald ships, and those in an operator's routes files."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.routes_file import make_profile, parse_document
from domain.routes_file_format import file_format
from entrypoints.brokers import BROKER_NAMES
from entrypoints.channels import CHANNELS, OutboundChannel
from entrypoints.profiles.backward_compatibility import FILE, compatibility, with_references, with_topics
from entrypoints.profiles.renamed_sources import check_variables, variable_of, with_renamed_sources
from entrypoints.profiles.routes_files import SHIPPED_PREFIX, find_routes_files
from entrypoints.profiles.shipped_files import PROFILES
from entrypoints.settings.loader import Settings, SettingsInvalid

# The name that stands for all shipped profiles.
EVERY: Final = "all"

SHIPPED: Final = tuple(
    sorted(
        file.name.removesuffix(".toml")
        for file in PROFILES.iterdir()
        if file.name.endswith(".toml") and file.name != FILE
    )
)


def load_table(settings: Settings, channels: Sequence[OutboundChannel] = CHANNELS) -> RouteTable:
    """Returns the routes that the settings name, read anew at each call. Raises RoutesInvalid if a routes file is
    invalid, or contradicts another one or a setting; and SettingsInvalid if HERALD_PROFILE names an unknown profile."""
    table = make_table(read_profiles(named_profiles(settings), channels), settings)
    check_variables(table, settings.routing.sources, SHIPPED)
    return table


def named_profiles(settings: Settings) -> tuple[str, ...]:
    """Returns the files, folders and shipped profiles that the settings name."""
    return settings.routing.routes or tuple(f"{SHIPPED_PREFIX}{name}" for name in _known(settings.routing.profile))


def make_table(files: Mapping[str, Profile], settings: Settings) -> RouteTable:
    """Returns the route table for profiles by file, with the sources that the settings name, and with the endpoints of
    `backward_compatibility.toml`. Raises RoutesInvalid."""
    names = settings.routing.sources
    profiles = (
        with_renamed_sources(with_topics(profile, settings), file, names.get(variable_of(profile.profile), {}))
        for file, profile in files.items()
    )
    return RouteTable(tuple(profiles), compatibility().endpoints, tuple(files))


def read_profiles(names: Iterable[str], channels: Sequence[OutboundChannel] = CHANNELS) -> dict[str, Profile]:
    """Reads the profiles in the named files and folders, and the shipped profiles `shipped:<name>`. Returns them in
    this order, keyed by file. Raises RoutesInvalid."""
    profiles: dict[str, Profile] = {}
    for name in find_routes_files(names):
        if name.startswith(SHIPPED_PREFIX):
            profiles |= _read_shipped(name.removeprefix(SHIPPED_PREFIX))
        else:
            profiles[name] = read_file(name, channels)
    return profiles


def shipped(names: Iterable[str]) -> tuple[Profile, ...]:
    """Reads the shipped profiles with these names; the name `all` stands for every one. Raises SettingsInvalid for an
    unknown name."""
    return tuple(read_profiles(SHIPPED_PREFIX + name for name in _known(tuple(names))).values())


def _known(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if suggestion := _suggestion(name):
            raise SettingsInvalid(f"HERALD_PROFILE names {name!r}: {suggestion}")
    return SHIPPED if EVERY in names else names


def _read_shipped(name: str) -> dict[str, Profile]:
    if suggestion := _suggestion(name):
        raise RoutesInvalid(f"{SHIPPED_PREFIX}{name}: there is no shipped profile of this name: {suggestion}")
    texts = {
        SHIPPED_PREFIX + one: (PROFILES / f"{one}.toml").read_text(encoding="utf-8")
        for one in (SHIPPED if name == EVERY else (name,))
    }
    return {file: _read(text, file, CHANNELS) for file, text in texts.items()}


def _suggestion(name: str) -> str | None:
    """Returns an error text that suggests the most similar shipped profile; None if there is a profile `name`."""
    if name in (*SHIPPED, EVERY):
        return None
    nearest = difflib.get_close_matches(name, (*SHIPPED, EVERY), 1, 0)[0]
    return f"did you mean {nearest}? There are {', '.join(SHIPPED)}, and {EVERY}."


def read_file(path: str, channels: Sequence[OutboundChannel] = CHANNELS) -> Profile:
    """Reads the profile in an operator's routes file. Raises RoutesInvalid if the file can't be read or is invalid."""
    try:
        # Editors on Windows add a byte order mark.
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RoutesInvalid(f"{path}: this can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RoutesInvalid(f"{path}: this is not UTF-8 from byte {error.start} on") from None
    except ValueError:
        raise RoutesInvalid(f"{path!r}: this is the name of no file") from None
    return _read(text, path, channels)


def written_format() -> type[msgspec.Struct]:
    """Returns the struct type of routes files, with the brokers and channels of this version of Herald."""
    return file_format(tuple(channel.table for channel in CHANNELS), BROKER_NAMES)


def _read(text: str, file: str, channels: Sequence[OutboundChannel]) -> Profile:
    document, tables = with_references(parse_document(text, file)), [channel.table for channel in channels]
    return make_profile(document, file, tables, BROKER_NAMES)
