"""Generates docs/settings.md from the declarations of the settings.

Run `python -m entrypoints.settings.settings_page > docs/settings.md`.
"""

import re
import sys
from collections.abc import Iterator
from typing import Final

from domain.setting_declarations import Mode, Section, Setting, settings_of
from entrypoints.settings.all_settings import SECTIONS, SETTINGS

PAGE_HEAD: Final = """\
# Settings

Settings are environment variables; the options of `herald dev` and `herald serve` take precedence. A variable with
several names has the value of the first that is set. An empty value counts as not set. If a variable `HERALD_…` is
misspelt, Herald does not start and names the most similar setting. `herald config` shows the values in use and where
each came from.

This page is generated from the declarations in the code by `task docs`.
"""

_PLACE: Final = re.compile(r"\{([a-z0-9_.]+)\}")


def page() -> str:
    """Returns the text of docs/settings.md."""
    return "\n".join((PAGE_HEAD, *(line for kind in SECTIONS.values() for line in _section(kind))))


def _section(kind: type[Section]) -> Iterator[str]:
    # The docstring of a section begins with its title.
    yield f"## {re.split('[:.]', kind.__doc__ or '')[0]}"
    yield ""
    yield "| variable | meaning | default |"
    yield "|---|---|---|"
    for field, setting in settings_of(kind).items():
        names = ", ".join(f"`{name}`" for name in setting.names.split())
        yield f"| {names} | {setting.help} | {_default(kind, field, setting)} |"
    yield ""


def _default(kind: type[Section], field: str, setting: Setting) -> str:
    """Returns the text of the column `default`: the default with `herald serve`, and that with `herald dev` if it is
    different."""
    serve, dev = _shown(kind, field, setting, "serve"), _shown(kind, field, setting, "dev")
    return serve if serve == dev else f"{serve}; `herald dev`: {dev}"


def _shown(kind: type[Section], field: str, setting: Setting, mode: Mode) -> str:
    text = setting.default_for(mode)
    if text is not None:
        return f"`{_PLACE.sub(_place, text)}`{_unit(setting)}"
    value = getattr(kind(), field)
    if value is None or value in ((), {}):
        return setting.unset
    # The default of a secret is public, so it is shown.
    plain = setting if not setting.secret else Setting(setting.names, setting.parse, setting.help)
    return f"`{plain.shown(value)}`{_unit(setting)}"


def _unit(setting: Setting) -> str:
    return f" {setting.unit}" if setting.unit else ""


def _place(place: re.Match[str]) -> str:
    """Returns the replacement for a placeholder in a default: `{server.port}` becomes `{HERALD_PORT}`; others stay as
    they are."""
    return f"{{{SETTINGS[place[1]].name}}}" if place[1] in SETTINGS else place[0]


if __name__ == "__main__":
    sys.stdout.write(page())
