"""Reads the settings from environment variables and the command line, and checks them before anything starts."""

import difflib
import socket
from collections.abc import Mapping
from typing import Any, Final

from domain.setting_declarations import Mode, Section, Setting, settings_of
from entrypoints.brokers import BROKERS
from entrypoints.settings.all_settings import SECTIONS, SETTINGS, Settings

__all__ = ["NAMES", "SETTINGS", "Mode", "Settings", "SettingsInvalid", "check", "load", "read", "table"]

NAMES: Final = frozenset(name for setting in SETTINGS.values() for name in setting.names.split())

# The beginnings of the names of settings that stand for several variables.
PREFIXES: Final = tuple(setting.prefix for setting in SETTINGS.values() if setting.prefix)

# Environment variables that only Herald's tests read. They are not settings, but not reported as misspelt settings
# either.
TEST_NAMES: Final = frozenset({"HERALD_REQUIRE_REAL", "HERALD_KAFKA_HOME", "HERALD_CHROMIUM"})

# Environment variables that Kubernetes sets, and that are not settings. For a Service named `herald`, it sets
# HERALD_SERVICE_HOST, HERALD_PORT_8000_TCP and others in every pod, and HERALD_PORT to tcp://…. It does the same for
# Services named `ws` or `smtp`.
KUBERNETES_PREFIXES: Final = ("HERALD_SERVICE_", "HERALD_PORT_")
KUBERNETES_PORT: Final = "tcp://"


class SettingsInvalid(Exception):
    """A setting is invalid, and Herald does not start. The text of the exception has the name of the variable and the
    reason, but never the value of a secret."""


def load(environ: Mapping[str, str], mode: Mode, overrides: Mapping[str, str]) -> Settings:
    """Returns the settings, read (see `read`) and checked (see `check`). Raises SettingsInvalid."""
    settings = read(environ, mode, overrides)
    check(settings)
    return settings


def read(environ: Mapping[str, str], mode: Mode, overrides: Mapping[str, str]) -> Settings:
    """Returns the settings after checking each of them alone. Raises SettingsInvalid for an invalid or misspelt
    setting.

    `overrides` are the options of the command line, keyed by `section.field`; they take precedence over `environ`. A
    value that is empty, or has only spaces and commas, counts as not set: compose files and Helm charts produce such
    values from missing variables.
    """
    _refuse_misspelt(environ)
    came_from: dict[str, str] = {}
    sections: dict[str, Any] = {"hostname": socket.gethostname()}
    for name, kind in SECTIONS.items():
        values: dict[str, Any] = {}
        for field, setting in settings_of(kind).items():
            key = f"{name}.{field}"
            if setting.prefix:
                values[field] = _parsed_family(setting, setting.prefix, environ)
                came_from[key] = ", ".join(values[field]) or "default"
                continue
            came_from[key], text = _given(key, setting, environ, overrides)
            if came_from[key] == "default":
                default = setting.default_for(mode)
                text = None if default is None else default.format_map(sections)
            if text is not None:
                values[field] = _parsed(setting, came_from[key], text)
        sections[name] = kind(**values)
    brokers: dict[str, Section] = {broker.name: sections.pop(broker.name) for broker in BROKERS}
    del sections["hostname"]
    return Settings(mode=mode, came_from=came_from, brokers=brokers, **sections)


def check(settings: Settings) -> None:
    """Raises SettingsInvalid if two settings contradict each other, or if tokens are required but no key is
    configured."""
    try:
        for section in settings.sections():
            section.check()
        if settings.server.auth == "jwt":
            _check_tokens(settings)
    except ValueError as error:
        raise SettingsInvalid(str(error)) from None


def table(settings: Settings) -> list[str]:
    """Returns the lines that `herald config` prints: for each setting its name, its value (masked if it is a secret),
    and where the value comes from."""
    rows = [row for key, setting in SETTINGS.items() for row in _rows(key, setting, settings)]
    name_width, value_width = (min(max(len(row[column]) for row in rows), 40) for column in (0, 1))
    return [f"{name:{name_width}}  {value:{value_width}}  {origin}" for name, value, origin in rows]


def _rows(key: str, setting: Setting, settings: Settings) -> list[tuple[str, str, str]]:
    value = settings.value(key)
    if setting.prefix and value:
        return [(name, setting.shown(one), name) for name, one in value.items()]
    return [(setting.name, settings.shown(key), settings.came_from[key])]


def _check_tokens(settings: Settings) -> None:
    # Imported here, because importing cryptography takes a while and most commands do not need it.
    from adapters.jwt.verifier import JwtVerifier

    if not settings.jwt.has_key:
        raise ValueError(
            "HERALD_AUTH is jwt, but no key to verify tokens is configured: set HERALD_JWT_SECRET,"
            " HERALD_JWT_PUBLIC_KEY or HERALD_JWT_JWKS_URL, or HERALD_AUTH=open to accept every user without a token."
        )
    JwtVerifier(settings.jwt)


def _given(
    key: str, setting: Setting, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[str, str | None]:
    """Returns where the text of a setting comes from, and the text: an option such as `--port`, or the name of a
    variable; if neither is set, `default` and None."""
    option = f"--{key.partition('.')[2]}"
    if _counts(option, overrides.get(key, "")):
        return option, overrides[key]
    given = {name: environ[name] for name in setting.names.split() if _counts(name, environ.get(name, ""))}
    if setting.same and len(set(given.values())) > 1:
        raise SettingsInvalid(f"{' and '.join(given)} are both set, and differ: set one of them.")
    return next(iter(given.items()), ("default", None))


def _counts(name: str, value: str) -> bool:
    return value.strip(" \t\r\n,") != "" and not (name.endswith("PORT") and value.startswith(KUBERNETES_PORT))


def _parsed(setting: Setting, origin: str, text: str) -> object:
    try:
        return setting.parse(text)
    except ValueError as reason:
        raise SettingsInvalid(f"{origin} {reason}.") from None


def _parsed_family(setting: Setting, prefix: str, environ: Mapping[str, str]) -> dict[str, object]:
    """Returns the values of a setting that stands for several variables, by the names of those that are set."""
    given = {name: environ[name] for name in sorted(environ) if name.startswith(prefix)}
    return {name: _parsed(setting, name, text) for name, text in given.items() if _counts(name, text)}


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if name.startswith((*KUBERNETES_PREFIXES, *PREFIXES)) or name in NAMES | TEST_NAMES:
            continue
        if name.startswith("HERALD_"):
            # Without the placeholder of a name such as HERALD_SOURCES_<PROFILE>.
            settings = {known.partition("<")[0]: known for known in sorted(NAMES) if known.startswith("HERALD_")}
            (nearest,) = difflib.get_close_matches(name, settings, 1, 0)
            raise SettingsInvalid(f"{name} is not a setting of Herald: did you mean {settings[nearest]}?")
