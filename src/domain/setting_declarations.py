"""Declarations of settings. Each part of Herald declares its settings on the fields of a struct:

    class HubSettings(Section, frozen=True):
        heartbeat_s: Annotated[float, Setting("HERALD_HEARTBEAT_SECONDS", seconds, "Interval of heartbeats.")] = 30.0

This module reads nothing: `entrypoints.settings` reads the values from the environment and the command line.
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
    """Declares from which environment variables a field of a section is set, and how the setting is documented.

    `names` are the variables, separated by spaces. The value comes from the first of them that is set; if `same` is
    true, all that are set must be equal. If none is set, the value comes from the text `default`, in which `{hostname}`
    and `{section.field}` are replaced by the name of the host and the value of another setting; if `default` is None,
    it is the default of the field. For `herald dev`, `in_dev` replaces both. `parse` converts the text to the value.

    A name that ends with a placeholder, such as `HERALD_SOURCES_<PROFILE>`, stands for all variables that begin like
    it. The value is then a dict of the parsed values, by the names of the variables that are set.

    For display, `unset` stands for None and an empty list, and `***` for the value of a `secret`. `unit` is the unit of
    the value.
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
        """The first of the environment variables, which stands for the setting in documentation and output."""
        return self.names.split()[0]

    @property
    def prefix(self) -> str | None:
        """The part of the name before its placeholder; None if the setting is a single variable."""
        before, placeholder, _ = self.names.partition("<")
        return before if placeholder else None

    def default_for(self, mode: Mode) -> str | None:
        """Returns the text that is parsed if no variable is set, with `herald dev` or with `herald serve`; None if the
        default of the field applies.
        """
        return self.in_dev if mode == "dev" and self.in_dev is not None else self.default

    def shown(self, value: object) -> str:
        """Returns a value of this setting as one line of text for display, with secrets masked."""
        if value is None or value in ((), {}):
            return self.unset
        if self.secret:
            return "***"
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, tuple):
            return ", ".join(value)
        if isinstance(value, dict):
            return ", ".join(f"{name}={one}".removeprefix("=") for name, one in value.items())
        if isinstance(value, float):
            return f"{value:g}"
        first, *more = masked(str(value)).splitlines() or [""]
        return f"{first} …" if more else first


class Section(msgspec.Struct, frozen=True):
    """Base class of structs that hold the settings of one part of Herald. Every field has a default. Operators can set
    only the fields that are declared with a Setting.
    """

    def check(self) -> None:
        """Raises ValueError if the settings of this section contradict one another. Called when Herald starts."""
        return

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Returns the fields and their values, with secrets masked, because structs appear in logs and tracebacks."""
        declared = settings_of(type(self))
        return [
            (field, declared[field].shown(getattr(self, field)) if field in declared else getattr(self, field))
            for field in self.__struct_fields__
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


@cache
def settings_of(section: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """Returns the settings that are declared on a struct, by name of the field."""
    declared: dict[str, Setting] = {}
    for field, hint in get_type_hints(section, include_extras=True).items():
        for item in getattr(hint, "__metadata__", ()):
            if isinstance(item, Setting):
                declared[field] = item
    return declared


def masked(value: str) -> str:
    """Returns a URL with its passwords replaced by `***`: the password before the host, and the query parameters whose
    names contain `pass`, `secret` or `token`. Everything up to the last `@` belongs to the password, because an `@` in
    a password is often not escaped.
    """
    before, at, host = value.rpartition("@")
    value = _PASSWORD.sub(r"\1***", before, count=1) + at + host
    return _PARAMETER.sub(_without_secret, value)


def _without_secret(parameter: re.Match[str]) -> str:
    name = parameter[1]
    return f"{name}***" if any(word in name.lower() for word in _SECRETS) else parameter[0]
