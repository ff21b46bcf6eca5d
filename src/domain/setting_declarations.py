"""How a part of Herald declares its settings: on the fields of the struct that configures it.

    class HubSettings(Section, frozen=True):
        heartbeat_s: Annotated[float, Setting("HERALD_HEARTBEAT_SECONDS", seconds, "Interval of heartbeats.")] = 30.0

The declarations are data. `entrypoints.settings` reads the environment, the command line and files.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Literal, TypeAlias, get_type_hints

import msgspec

Mode: TypeAlias = Literal["dev", "serve"]

# Parses the text of a variable. Raises ValueError with a reason that can follow the variable's name in a sentence. A
# parser that may receive a secret by mistake does not repeat the text.
Parser: TypeAlias = Callable[[str], object]

# The password in a URL: after the user name, up to the last `@`; and the parameters of a query.
_PASSWORD: Final = re.compile(r"(://[^/?#:@]*:).*", re.DOTALL)
_PARAMETER: Final = re.compile(r"([?&][^?&=#]*+=)[^&#]*")
_SECRETS: Final = ("pass", "secret", "token")


class Setting(msgspec.Struct, frozen=True):
    """How one field of a section is set.

    `names` are environment variables, separated by spaces. The first that is set applies; with `same`, all that are set
    must be equal. If none is set, the text `default` applies (`{hostname}` and `{section.field}` are substituted);
    without it, the default of the field. `in_dev` takes the place of both defaults in `herald dev`. `unset` is
    displayed for None or an empty list. The value of a `secret` is displayed as `***`.
    """

    names: str
    parse: Parser
    help: str
    default: str | None = None
    in_dev: str | None = None
    unset: str = "not set"
    unit: str = ""
    secret: bool = False
    same: bool = False

    @property
    def name(self) -> str:
        """The first of the variables, which the documentation uses."""
        return self.names.split()[0]

    def default_for(self, mode: Mode) -> str | None:
        """Returns the default as text; None if the default of the field applies."""
        return self.in_dev if mode == "dev" and self.in_dev is not None else self.default

    def shown(self, value: object) -> str:
        """Returns the value for display: without secrets, on one line."""
        if value is None or value == ():
            return self.unset
        if self.secret:
            return "***"
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, tuple):
            return ", ".join(value)
        if isinstance(value, float):
            return f"{value:g}"
        first, *more = masked(str(value)).splitlines() or [""]
        return f"{first} …" if more else first


class Section(msgspec.Struct, frozen=True):
    """The settings of one part of Herald. Every field has a default. A field without a Setting can't be set by an
    operator.
    """

    def check(self) -> None:
        """Raises ValueError if the settings contradict one another."""
        return

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Displays the fields without secrets, because structs appear in logs and tracebacks."""
        declared = settings_of(type(self))
        return [
            (field, declared[field].shown(getattr(self, field)) if field in declared else getattr(self, field))
            for field in self.__struct_fields__
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


@cache
def settings_of(section: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """Returns the settings that a struct declares, by field."""
    declared: dict[str, Setting] = {}
    for field, hint in get_type_hints(section, include_extras=True).items():
        for item in getattr(hint, "__metadata__", ()):
            if isinstance(item, Setting):
                declared[field] = item
    return declared


def masked(value: str) -> str:
    """Returns the text of a URL with its passwords masked: the one before the host (up to the last `@`, because an `@`
    in a password is often not escaped), and those in the query.
    """
    before, at, host = value.rpartition("@")
    value = _PASSWORD.sub(r"\1***", before, count=1) + at + host
    return _PARAMETER.sub(_without_secret, value)


def _without_secret(parameter: re.Match[str]) -> str:
    name = parameter[1]
    return f"{name}***" if any(word in name.lower() for word in _SECRETS) else parameter[0]
