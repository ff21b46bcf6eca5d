"""Settings: read from the environment and the command line, and checked before anything starts."""

import difflib
import socket
from collections.abc import Mapping
from typing import Any, Final

from adapters.jwt.verifier import JwtVerifier
from entrypoints.settings.field import Mode, Setting
from entrypoints.settings.model import SETTINGS, Settings

__all__ = ["SETTINGS", "Mode", "Settings", "SettingsInvalid", "check", "load", "read", "table"]

NAMES: Final = frozenset(name for setting in SETTINGS.values() for name in setting.names.split())

# What only Herald's own tests read.
TEST_NAMES: Final = frozenset({"HERALD_REQUIRE_REAL", "HERALD_KAFKA_HOME", "HERALD_CHROMIUM"})

# Kubernetes tells every pod about a Service called `herald` by HERALD_SERVICE_HOST, HERALD_PORT_8000_TCP and so on, and
# sets HERALD_PORT itself to tcp://…; one called `ws` or `smtp` likewise.
KUBERNETES_PREFIXES: Final = ("HERALD_SERVICE_", "HERALD_PORT_")
KUBERNETES_PORT: Final = "tcp://"


class SettingsInvalid(Exception):
    """Settings that Herald can't start with. The text names the variable and the reason, and repeats no secret."""


def load(environ: Mapping[str, str], mode: Mode, overrides: Mapping[str, str]) -> Settings:
    """The settings in force; raises SettingsInvalid.

    `overrides` are the options of the command line, by field. What is set to nothing (blanks and commas are nothing
    too) counts as not set: that is what compose files and charts make of a value that they were not given.
    """
    settings = read(environ, mode, overrides)
    check(settings)
    return settings


def read(environ: Mapping[str, str], mode: Mode, overrides: Mapping[str, str]) -> Settings:
    """As load, but each setting is checked by itself only."""
    _refuse_misspelt(environ)
    values: dict[str, Any] = {}
    came_from: dict[str, str] = {}
    known = {"hostname": socket.gethostname()}
    for field, setting in SETTINGS.items():
        name, text = _given(field, setting, environ, overrides)
        if text is None:
            default = setting.default_for(mode)
            name, text = "default", default.format_map(known | values) if default is not None else None
        try:
            values[field] = None if text is None else setting.parse(text)
        except ValueError as reason:
            raise SettingsInvalid(f"{name} {reason}.") from None
        came_from[field] = name
    return Settings(mode=mode, came_from=came_from, **values)


def check(settings: Settings) -> None:
    """Refuses settings that don't go together: SettingsInvalid."""
    keys = [SETTINGS[f].names for f in ("jwt_secret", "jwt_public_key", "jwt_jwks_url") if getattr(settings, f)]
    if len(keys) > 1:
        raise SettingsInvalid(f"{' and '.join(keys)} are set: tokens are checked by one kind of key, so set one.")
    if settings.jwt_cafile and not (settings.jwt_jwks_url or "").startswith("https:"):
        raise SettingsInvalid(
            "HERALD_JWT_CAFILE is set, and HERALD_JWT_JWKS_URL does not begin with https://: it would be no use."
        )
    if settings.auth == "jwt":
        if not keys:
            raise SettingsInvalid(
                "HERALD_AUTH is jwt, and there is no key to check tokens with: set HERALD_JWT_SECRET,"
                " HERALD_JWT_PUBLIC_KEY or HERALD_JWT_JWKS_URL, or HERALD_AUTH=open if everyone may be anyone."
            )
        try:
            JwtVerifier(settings.jwt)
        except ValueError as fault:
            raise SettingsInvalid(str(fault)) from None
    if (settings.smtp_user is None) != (settings.smtp_password is None):
        raise SettingsInvalid("HERALD_SMTP_USER and HERALD_SMTP_PASSWORD go together, and only one of them is set.")
    if settings.redis_cafile and not (settings.redis_url or "").startswith("rediss:"):
        raise SettingsInvalid(
            "HERALD_REDIS_CAFILE is set, and REDIS_URL does not begin with rediss://: it would be no use."
        )
    if settings.database_pooler != "none" and not settings.database_url.startswith("postgresql"):
        raise SettingsInvalid("HERALD_DATABASE_POOLER is set, and DATABASE_URL is no PostgreSQL: it would be no use.")
    protocol = settings.kafka_security_protocol
    if protocol.startswith("SASL"):
        if not (settings.kafka_sasl_username and settings.kafka_sasl_password):
            raise SettingsInvalid(
                f"HERALD_KAFKA_SECURITY_PROTOCOL is {protocol}:"
                " set HERALD_KAFKA_SASL_USERNAME and HERALD_KAFKA_SASL_PASSWORD too."
            )
    elif settings.kafka_sasl_mechanism:
        raise SettingsInvalid(
            f"HERALD_KAFKA_SASL_MECHANISM is set, and HERALD_KAFKA_SECURITY_PROTOCOL is {protocol}:"
            " set that to SASL_SSL or SASL_PLAINTEXT."
        )


def table(settings: Settings) -> list[str]:
    """The settings as people may see them, a line each: name, value, who set it."""
    rows = []
    for field, setting in SETTINGS.items():
        rows.append((setting.names.split()[0], settings.shown(field), settings.came_from[field]))
    name_width, value_width = (min(max(len(row[column]) for row in rows), 40) for column in (0, 1))
    return [f"{name:{name_width}}  {value:{value_width}}  {origin}" for name, value, origin in rows]


def _given(
    field: str, setting: Setting, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[str, str | None]:
    """What was set, and by which name."""
    if _counts(field, overrides.get(field, "")):
        return f"--{field}", overrides[field]
    given = {name: environ[name] for name in setting.names.split() if _counts(name, environ.get(name, ""))}
    if field == "kafka_brokers" and len(set(given.values())) > 1:
        raise SettingsInvalid(f"{' and '.join(given)} are both set, and differ: which of them is Kafka?")
    return next(iter(given.items()), ("", None))


def _counts(name: str, value: str) -> bool:
    return value.strip(" \t\r\n,") != "" and not (name.endswith("PORT") and value.startswith(KUBERNETES_PORT))


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if name.startswith("HERALD_") and not name.startswith(KUBERNETES_PREFIXES) and name not in NAMES | TEST_NAMES:
            nearest = difflib.get_close_matches(name, sorted(n for n in NAMES if n.startswith("HERALD_")), 1, 0)
            raise SettingsInvalid(f"{name} is no setting of Herald: did you mean {nearest[0]}?")
