"""What is declared of a setting."""

import re
from typing import Final, Literal, TypeAlias

import msgspec

from entrypoints.settings.parsers import Parser

Mode: TypeAlias = Literal["dev", "serve"]

# A user's name before a password, and all that is behind it; a parameter of a query, its name apart.
_PASSWORD: Final = re.compile(r"(://[^/?#:@]*:).*", re.DOTALL)
_PARAMETER: Final = re.compile(r"([?&][^?&=#]*+=)[^&#]*")
_SECRETS: Final = ("pass", "secret", "token")


class Setting(msgspec.Struct, frozen=True):
    """How one field of Settings is set.

    `names` are environment variables, separated by blanks: the first that is set counts. `default` is text for the
    parser, as if it had been set (`{field}` is filled with what was read further up, `{hostname}` with this machine's
    name), `in_dev` the one of `herald dev` where that differs; None leaves the field None, of which `unset` says what
    it means. A `secret` is shown to nobody.
    """

    names: str
    parse: Parser
    help: str
    default: str | None = None
    in_dev: str | None = None
    unset: str = "not set"
    secret: bool = False

    def default_for(self, mode: Mode) -> str | None:
        return self.in_dev if mode == "dev" and self.in_dev is not None else self.default

    def shown(self, value: object) -> str:
        """The value as people may see it, on one line."""
        if value is None or value == ():
            return self.unset
        if self.secret:
            return "***"
        if isinstance(value, tuple):
            return ", ".join(value)
        if isinstance(value, float):
            return f"{value:g}"
        first, *more = masked(str(value)).splitlines() or [""]
        return f"{first} …" if more else first


def masked(value: str) -> str:
    """Without the passwords of a URL: the one before the host (up to the last `@`, since people forget to quote
    theirs) and those in the query."""
    before, at, host = value.rpartition("@")
    value = _PASSWORD.sub(r"\1***", before, count=1) + at + host
    return _PARAMETER.sub(_without_secret, value)


def _without_secret(parameter: re.Match[str]) -> str:
    name = parameter[1]
    return f"{name}***" if any(word in name.lower() for word in _SECRETS) else parameter[0]
