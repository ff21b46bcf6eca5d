"""Loads profiles: those that Herald ships, or instead of them an operator's routes file."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from domain.routes import Profile, RoutesInvalid, RouteTable
from domain.routes_file import make_profile, parse_document
from domain.routes_file_format import file_format
from entrypoints.brokers import BROKER_NAMES
from entrypoints.channels import CHANNELS, OutboundChannel
from entrypoints.profiles.backward_compatibility import FILE, compatibility, with_references, with_topics
from entrypoints.profiles.shipped_files import PROFILES
from entrypoints.settings.loader import Settings, SettingsInvalid

# The name that stands for all shipped profiles in HERALD_PROFILE.
EVERY: Final = "all"

SHIPPED: Final = tuple(
    sorted(
        file.name.removesuffix(".toml")
        for file in PROFILES.iterdir()
        if file.name.endswith(".toml") and file.name != FILE
    )
)


def load_table(settings: Settings, channels: Sequence[OutboundChannel] = CHANNELS) -> RouteTable:
    """Returns the routes of the profiles, or of the routes file, that the settings name. Raises RoutesInvalid for an
    invalid routes file, and SettingsInvalid for an unknown profile."""
    if settings.routing.routes:
        profile = read_file(settings.routing.routes, channels)
        return file_table(with_topics(profile, settings), settings.routing.routes)
    return shipped_table(with_topics(profile, settings) for profile in shipped(settings.routing.profile))


def file_table(profile: Profile, file: str) -> RouteTable:
    """Returns the route table for a profile that was read from an operator's routes file. Raises RoutesInvalid; its
    text names `file`."""
    try:
        return RouteTable((profile,), compatibility().endpoints)
    except RoutesInvalid as error:
        raise RoutesInvalid(f"{file}: {error}") from None


def shipped_table(profiles: Iterable[Profile]) -> RouteTable:
    """Returns the route table for these shipped profiles, with the endpoints of `backward_compatibility.toml`."""
    return RouteTable(tuple(profiles), compatibility().endpoints)


def shipped(names: Iterable[str]) -> tuple[Profile, ...]:
    """Reads the shipped profiles with these names; the name `all` stands for every one. Raises SettingsInvalid for an
    unknown name."""
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in (*SHIPPED, EVERY):
            nearest = difflib.get_close_matches(name, (*SHIPPED, EVERY), 1, 0)[0]
            raise SettingsInvalid(
                f"HERALD_PROFILE names {name!r}: did you mean {nearest}? There are {', '.join(SHIPPED)}, and {EVERY}."
            )
    chosen = SHIPPED if EVERY in names else names
    texts = {f"{name}.toml": (PROFILES / f"{name}.toml").read_text(encoding="utf-8") for name in chosen}
    return tuple(_read(text, file, CHANNELS) for file, text in texts.items())


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
